#include "app/sweep_file.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "shoal/error.hpp"

namespace shoal::app {
namespace {

constexpr std::size_t max_cells = 1'000'000;

std::string trimmed(const std::string& text) {
  constexpr const char* space = " \t\r";
  const std::size_t begin = text.find_first_not_of(space);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

struct ListedOption {
  std::string name;
  std::vector<std::string> values;
};

/// [grid], or [WORD NAME].
struct Section {
  std::string word;
  std::string name;  ///< empty for the grid
  std::vector<ListedOption> options;
};

struct SweepFile {
  std::vector<NamedValue> common;
  std::vector<Section> sections;
};

class Reader {
 public:
  Reader(const std::string& text, std::string name) : text_(text), name_(std::move(name)) {}

  SweepFile read() {
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      ++line_;
      line = trimmed(line.substr(0, line.find('#')));
      if (line.empty()) continue;
      if (line.front() == '[')
        open_section(line);
      else
        add_option(line);
    }
    return std::move(file_);
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw UsageError("job file '" + name_ + "', line " + std::to_string(line_) + ": " + problem);
  }

  void open_section(const std::string& line) {
    if (line.back() != ']') refuse("bad section '" + line + "' (no ']' at its end) write [grid] or [case NAME]");
    const std::string title = trimmed(line.substr(1, line.size() - 2));
    const std::size_t space = title.find_first_of(" \t");
    Section section{title.substr(0, space), space == std::string::npos ? "" : trimmed(title.substr(space)), {}};
    if (section.name.empty() != (section.word == "grid"))
      refuse("bad section '" + line + "' (neither [grid] nor a word and a name) write [grid] or [case NAME]");
    const bool known = std::any_of(file_.sections.begin(), file_.sections.end(), [&](const Section& other) {
      return other.word == section.word && other.name == section.name;
    });
    if (known) refuse("section " + line + " is there twice (their options cannot be told apart) rename one");
    file_.sections.push_back(std::move(section));
  }

  void add_option(const std::string& line) {
    const std::size_t equals = line.find('=');
    const std::string option = trimmed(line.substr(0, equals));
    if (equals == std::string::npos || option.empty())
      refuse("cannot read '" + line + "' (neither a section nor an option) write option = value");
    const std::string value = trimmed(line.substr(equals + 1));
    if (file_.sections.empty()) {
      file_.common.emplace_back(option, value);
      return;
    }
    auto& options = file_.sections.back().options;
    if (std::any_of(options.begin(), options.end(), [&](const ListedOption& other) { return other.name == option; }))
      refuse("option '" + option + "' is there twice in its section (which one counts?) write one comma list");
    try {
      options.push_back({option, parse_value_list(value)});
    } catch (const UsageError& e) {
      refuse("option '" + option + "': " + e.what());
    }
  }

  const std::string& text_;
  std::string name_;
  int line_ = 0;
  SweepFile file_;
};

/// One option set by two sections of a cell would hide one of the two.
void check_clash(const Section& a, const Section& b, const std::string& file) {
  for (const ListedOption& option : a.options)
    for (const ListedOption& other : b.options)
      if (option.name == other.name)
        throw UsageError("job file '" + file + "': option '" + option.name + "' is set by [" + a.word +
                         (a.name.empty() ? "" : " " + a.name) + "] and [" + b.word +
                         (b.name.empty() ? "" : " " + b.name) + "] (a run has both) set it in one of them");
}

/// Every combination of the section's values, added to @p cell.
std::vector<SweepCell> crossed(const SweepCell& cell, const Section& section) {
  std::vector<SweepCell> cells{cell};
  if (!section.name.empty()) cells.front().labels.emplace_back(section.word, section.name);
  for (const ListedOption& option : section.options) {
    std::vector<SweepCell> more;
    for (const SweepCell& base : cells) {
      for (const std::string& value : option.values) {
        SweepCell next = base;
        std::erase_if(next.options, [&](const NamedValue& o) { return o.first == option.name; });
        next.options.emplace_back(option.name, value);
        more.push_back(std::move(next));
        if (more.size() > max_cells)
          throw UsageError("too many cells (more than " + std::to_string(max_cells) + ") make the grid smaller");
      }
    }
    cells = std::move(more);
  }
  return cells;
}

void add_once(const std::string& text, std::vector<std::string>* list) {
  if (std::find(list->begin(), list->end(), text) == list->end()) list->push_back(text);
}

}  // namespace

std::vector<std::string> parse_value_list(const std::string& text) {
  std::vector<std::string> values;
  std::size_t at = 0;
  const auto skip_space = [&] { at = std::min(text.find_first_not_of(" \t", at), text.size()); };
  const auto add_range = [&](const std::string& item) {
    const std::size_t dots = item.find("..");
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    if (dots == std::string::npos) return false;
    const char* const end = item.data() + item.size();
    const auto a = std::from_chars(item.data(), item.data() + dots, first);
    const auto b = std::from_chars(item.data() + dots + 2, end, last);
    if (a.ec != std::errc() || a.ptr != item.data() + dots || b.ec != std::errc() || b.ptr != end) return false;
    if (last < first || last - first >= max_cells)
      throw UsageError("bad range '" + item + "' (empty or too long) write FIRST..LAST");
    for (std::uint64_t i = 0; i <= last - first; ++i) values.push_back(std::to_string(first + i));
    return true;
  };
  for (;;) {
    skip_space();
    if (at < text.size() && text[at] == '"') {
      std::string item;
      for (++at;; ++at) {
        if (at >= text.size()) throw UsageError("a value begins with \" and does not end (no closing \") add one");
        if (text[at] != '"') {
          item += text[at];
        } else if (at + 1 < text.size() && text[at + 1] == '"') {
          item += text[at++];
        } else {
          break;
        }
      }
      ++at;
      skip_space();
      if (at < text.size() && text[at] != ',')
        throw UsageError("text after a closing \" (at '" + text.substr(at) + "') write \"\" for a quote inside");
      values.push_back(std::move(item));
    } else {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      const std::string item = trimmed(text.substr(at, comma - at));
      at = comma;
      if (item.empty() && !(values.empty() && at == text.size()))
        throw UsageError("a value is missing (between two commas or at the end of '" + text + "') write \"\" for none");
      if (!add_range(item)) values.push_back(item);
    }
    if (at >= text.size()) return values;
    ++at;
  }
}

SweepGrid parse_sweep_file(const std::string& text, const std::string& name) {
  const SweepFile file = Reader(text, name).read();
  SweepGrid grid;
  for (const Section& section : file.sections) {
    if (!section.name.empty()) add_once(section.word, &grid.words);
    for (const ListedOption& option : section.options)
      if (option.values.size() > 1) add_once(option.name, &grid.varied);
    for (const Section& other : file.sections)
      if (other.word != section.word) check_clash(section, other, name);
  }
  grid.cells = {SweepCell{{}, file.common}};
  std::vector<std::string> words = grid.words;
  words.emplace_back("grid");
  for (const std::string& word : words) {
    std::vector<SweepCell> cells;
    for (const SweepCell& cell : grid.cells)
      for (const Section& section : file.sections) {
        if (section.word != word) continue;
        auto more = crossed(cell, section);
        cells.insert(cells.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
      }
    if (!cells.empty()) grid.cells = std::move(cells);
  }
  return grid;
}

}  // namespace shoal::app
