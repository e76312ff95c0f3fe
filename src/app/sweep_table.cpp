#include "app/sweep_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "base/build_info.hpp"
#include "trace/table_file.hpp"

namespace shoal::app {
namespace {

using Json = nlohmann::ordered_json;

/// Cells that differ in their seeds only.
struct Row {
  std::vector<std::string> names;  ///< values of the row's own columns
  std::vector<std::size_t> cells;
};

/// What the rows are told apart by.
std::vector<std::string> row_headings(const SweepGrid& grid) {
  std::vector<std::string> headings = grid.words;
  for (const std::string& name : grid.varied)
    if (name != "seed") headings.push_back(name);
  return headings;
}

std::vector<std::string> row_names(const Cell& cell, const SweepGrid& grid) {
  std::vector<std::string> names;
  for (const std::string& word : grid.words) {
    const auto label = std::find_if(cell.labels.begin(), cell.labels.end(),
                                    [&](const NamedValue& entry) { return entry.first == word; });
    names.push_back(label == cell.labels.end() ? "" : label->second);
  }
  for (const std::string& name : grid.varied)
    if (name != "seed") names.push_back(option_text(cell, name));
  return names;
}

std::vector<Row> rows_of(const SweepResults& sweep) {
  std::vector<Row> rows;
  std::map<std::vector<std::string>, std::size_t> known;
  for (std::size_t i = 0; i < sweep.cells.size(); ++i) {
    auto names = row_names(sweep.cells[i], *sweep.grid);
    const auto [place, is_new] = known.try_emplace(names, rows.size());
    if (is_new) rows.push_back({std::move(names), {}});
    rows[place->second].cells.push_back(i);
  }
  return rows;
}

/// Three significant digits, without an exponent where the number is readable without.
std::string short_number(double x) {
  const double size = std::abs(x);
  char text[64];
  if (size != 0.0 && (size >= 1e7 || size < 1e-5)) {
    std::snprintf(text, sizeof text, "%.2e", x);
  } else {
    const int decimals = size == 0.0 ? 0 : std::clamp(2 - static_cast<int>(std::floor(std::log10(size))), 0, 6);
    std::snprintf(text, sizeof text, "%.*f", decimals, x);
  }
  return text;
}

std::string spread(const Quartiles& q) {
  if (q.count == 0) return "-";
  if (q.count == 1) return short_number(q.median);
  return short_number(q.median) + " (" + short_number(q.low) + " to " + short_number(q.high) + ")";
}

/// "20", or "18 of 20: 1 failed, 1 extinct".
std::string runs_text(const SweepResults& sweep, const Row& row) {
  std::map<std::string, int> odd;
  int good = 0;
  for (const std::size_t i : row.cells) {
    const CellResult& result = sweep.results[i];
    if (!sweep.cells[i].skipped.empty())
      ++odd["skipped"];
    else if (result.failed())
      ++odd["failed"];
    else if (result.finish_reason == "extinct" || result.finish_reason == "timeout")
      ++odd[result.finish_reason];
    else
      ++good;
  }
  const std::string all = std::to_string(row.cells.size());
  if (odd.empty()) return all;
  if (good == 0 && odd.size() == 1) return odd.begin()->first == "skipped" ? "skipped" : all + " " + odd.begin()->first;
  std::string text = std::to_string(good) + " of " + all + ":";
  for (const auto& [what, count] : odd) text += (text.back() == ':' ? " " : ", ") + std::to_string(count) + " " + what;
  return text;
}

std::vector<double> values_of(const SweepResults& sweep, const Row& row, std::size_t figure) {
  std::vector<double> values;
  for (const std::size_t i : row.cells)
    if (!sweep.results[i].failed()) values.push_back(sweep.results[i].figures[figure]);
  return values;
}

/// For a cell of a Markdown table.
std::string escaped(std::string text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
  return out;
}

std::string markdown_line(const std::vector<std::string>& fields) {
  std::string line = "|";
  for (const std::string& field : fields) line += " " + escaped(field) + " |";
  return line + "\n";
}

std::string heading(std::string name) {
  if (!name.empty() && name.front() >= 'a' && name.front() <= 'z') name.front() = static_cast<char>(name.front() - 32);
  std::replace(name.begin(), name.end(), '-', ' ');
  return name;
}

std::string table(const SweepResults& sweep) {
  const std::vector<Row> rows = rows_of(sweep);
  std::vector<std::size_t> shown;
  for (std::size_t f = 0; f < figures().size(); ++f) {
    const bool there = std::any_of(rows.begin(), rows.end(),
                                   [&](const Row& row) { return quartiles(values_of(sweep, row, f)).count > 0; });
    if (figures()[f].heading != nullptr && there) shown.push_back(f);
  }
  std::vector<std::string> titles;
  for (const std::string& name : row_headings(*sweep.grid)) titles.push_back(heading(name));
  titles.emplace_back("Runs");
  for (const std::size_t f : shown) titles.emplace_back(figures()[f].heading);
  std::string text = markdown_line(titles) + "|";
  for (std::size_t i = 0; i < titles.size(); ++i) text += i < titles.size() - shown.size() ? " --- |" : " ---: |";
  text += "\n";
  for (const Row& row : rows) {
    std::vector<std::string> fields = row.names;
    fields.push_back(runs_text(sweep, row));
    for (const std::size_t f : shown) fields.push_back(spread(quartiles(values_of(sweep, row, f))));
    text += markdown_line(fields);
  }
  return text;
}

std::string cells_text(std::size_t count) { return std::to_string(count) + (count == 1 ? " cell" : " cells"); }

std::string skipped_remarks(const SweepResults& sweep) {
  std::map<std::string, std::size_t> skipped;
  for (const Cell& cell : sweep.cells)
    if (!cell.skipped.empty()) ++skipped[cell.skipped];
  std::string text;
  for (const auto& [why, count] : skipped) text += "- " + cells_text(count) + " skipped: " + why + "\n";
  return text;
}

/// Equal errors on one line, with the first cell that made it.
std::string failed_remarks(const SweepResults& sweep) {
  std::map<std::pair<std::string, int>, std::vector<std::size_t>> failed;
  for (std::size_t i = 0; i < sweep.cells.size(); ++i)
    if (sweep.cells[i].skipped.empty() && sweep.results[i].failed())
      failed[{sweep.results[i].error, sweep.results[i].exit_code}].push_back(i);
  std::string text;
  for (const auto& [error, cells] : failed) {
    const Cell& first = sweep.cells[cells.front()];
    text += "- " + cells_text(cells.size()) + " failed, exit code " + std::to_string(error.second) + ": " +
            error.first + " (" + (cells.size() == 1 ? "" : "the first is ") + describe(first, *sweep.grid) + "; see " +
            sweep.folder + "/" + first.key + ".err)\n";
  }
  return text;
}

std::string worker_remarks(const SweepResults& sweep) {
  std::map<std::pair<int, int>, std::size_t> fewer;
  for (std::size_t i = 0; i < sweep.cells.size(); ++i) {
    const int asked = sweep.cells[i].job.options.workers;
    const int used = sweep.results[i].workers;
    if (!sweep.results[i].failed() && used < asked) ++fewer[{asked, used}];
  }
  std::string text;
  for (const auto& [workers, count] : fewer)
    text += "- " + cells_text(count) + " asked for " + std::to_string(workers.first) + " workers per rank and used " +
            std::to_string(workers.second) + ", as many as the cores allow\n";
  return text;
}

std::string remarks(const SweepResults& sweep) {
  const std::string text = skipped_remarks(sweep) + failed_remarks(sweep) + worker_remarks(sweep);
  return text.empty() ? "" : "\n" + text;
}

std::vector<trace::TableColumn> label_columns(const SweepResults& sweep) {
  std::vector<trace::TableColumn> columns;
  for (std::size_t w = 0; w < sweep.grid->words.size(); ++w) {
    std::vector<std::string> names;
    for (const Cell& cell : sweep.cells) names.push_back(row_names(cell, *sweep.grid)[w]);
    columns.push_back({sweep.grid->words[w], "1", "section of the job file", std::move(names)});
  }
  return columns;
}

template <class T, class Get>
std::vector<T> collect(const std::vector<Json>& list, const Get& get) {
  std::vector<T> values;
  for (const Json& entry : list) values.push_back(get(entry));
  return values;
}

/// As whole numbers if all are, else as numbers, else as texts.
trace::TableColumn option_column(const std::string& key, const std::vector<Json>& values) {
  trace::TableColumn column{key, key == "timeout" || key == "hang_limit" ? "s" : "1", "option of generate", {}};
  const auto all = [&](const auto& test) { return std::all_of(values.begin(), values.end(), test); };
  if (all([](const Json& v) {
        return v.is_number_integer() && (v.is_number_unsigned() || v.get<std::int64_t>() >= 0);
      }))
    column.values = collect<std::uint64_t>(values, [](const Json& v) { return v.get<std::uint64_t>(); });
  else if (all([](const Json& v) { return v.is_number() || v.is_null(); }))
    column.values = collect<double>(values, [](const Json& v) { return v.is_null() ? std::nan("") : v.get<double>(); });
  else
    column.values =
        collect<std::string>(values, [](const Json& v) { return v.is_string() ? v.get<std::string>() : v.dump(); });
  return column;
}

std::vector<trace::TableColumn> option_columns(const SweepResults& sweep) {
  std::vector<Json> options;
  for (const Cell& cell : sweep.cells) options.push_back(Json::parse(to_json(cell.job.options)));
  std::vector<trace::TableColumn> columns;
  for (const auto& entry : options.front().items()) {
    const std::string& key = entry.key();
    if (key == "checkpoint" || key == "checkpoint_interval" || key == "resume") continue;
    columns.push_back(option_column(key, collect<Json>(options, [&](const Json& o) { return o.at(key); })));
  }
  return columns;
}

template <class T, class Get>
trace::TableColumn cell_column(const SweepResults& sweep, const char* name, const char* meaning, const Get& get) {
  std::vector<T> values;
  for (std::size_t i = 0; i < sweep.cells.size(); ++i) values.push_back(get(sweep.cells[i], sweep.results[i]));
  return {name, "1", meaning, std::move(values)};
}

std::vector<trace::TableColumn> outcome_columns(const SweepResults& sweep) {
  using R = CellResult;
  const auto status = [](const Cell& c, const R& r) {
    return !c.skipped.empty() ? "skipped" : r.failed() ? "failed" : r.finish_reason;
  };
  return {
      cell_column<std::int64_t>(sweep, "ranks", "MPI ranks", [](const Cell& c, const R&) { return c.ranks; }),
      cell_column<std::string>(sweep, "scorer", "held-out model that scores the answers",
                               [](const Cell& c, const R&) { return c.judges.scorer; }),
      cell_column<std::int64_t>(sweep, "workers_used", "CPU threads per rank; 0 if the run failed",
                                [](const Cell&, const R& r) { return r.workers; }),
      cell_column<std::string>(sweep, "status", "why the run ended, failed, or skipped", status),
      cell_column<std::int64_t>(sweep, "exit_code", "of the run", [](const Cell&, const R& r) { return r.exit_code; }),
      cell_column<std::string>(sweep, "error", "why it failed or was skipped",
                               [](const Cell& c, const R& r) { return c.skipped.empty() ? r.error : c.skipped; }),
      cell_column<std::string>(sweep, "response", "most probable answer",
                               [](const Cell&, const R& r) { return r.response; }),
      cell_column<std::string>(sweep, "command", "runs the cell by hand",
                               [](const Cell&, const R& r) { return r.command; })};
}

std::vector<trace::TableColumn> figure_columns(const SweepResults& sweep) {
  std::vector<trace::TableColumn> columns;
  for (std::size_t f = 0; f < figures().size(); ++f) {
    std::vector<double> values;
    for (const CellResult& result : sweep.results) values.push_back(result.failed() ? std::nan("") : result.figures[f]);
    columns.push_back({figures()[f].name, figures()[f].units, figures()[f].meaning, std::move(values)});
  }
  return columns;
}

}  // namespace

Quartiles quartiles(std::vector<double> values) {
  std::erase_if(values, [](double x) { return std::isnan(x); });
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
  };
  return {values.size(), at(0.25), at(0.5), at(0.75)};
}

std::string markdown(const SweepResults& sweep) {
  const BuildInfo build = build_info();
  std::string text = table(sweep);
  text += "\nMedian over the runs of a row, which differ in their seeds, and in brackets first and third quartile.\n";
  std::string legend;
  for (const Figure& figure : figures())
    if (figure.heading != nullptr && text.find(std::string("| ") + figure.heading + " |") != std::string::npos)
      legend += std::string("- ") + figure.heading + ": " + figure.meaning + "\n";
  text += (legend.empty() ? "" : "\n" + legend) + remarks(sweep);
  return text + "\nMachine: " + build.processor + ", " + std::to_string(build.cores) + " cores; shoal " +
         build.version + " (" + build.type + ", " + build.compiler + ")\n\nCommand: `" + sweep.command + "`\n";
}

void write_hdf5(const SweepResults& sweep, const std::string& path) {
  std::vector<trace::TableColumn> columns = label_columns(sweep);
  for (auto part : {option_columns(sweep), outcome_columns(sweep), figure_columns(sweep)})
    columns.insert(columns.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  const BuildInfo build = build_info();
  trace::write_table(path, table_format, "cell", "number of the cell", columns,
                     {{"command_line", sweep.command},
                      {"job_file", sweep.job_file},
                      {"shoal_version", build.version},
                      {"build", build.type + ", " + build.compiler},
                      {"processor", build.processor + ", " + std::to_string(build.cores) + " cores"}});
}

}  // namespace shoal::app
