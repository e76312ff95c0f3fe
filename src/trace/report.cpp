#include "trace/report.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "trace/html_text.hpp"
#include "trace/lineage.hpp"
#include "trace/report_assets.hpp"
#include "trace/report_charts.hpp"
#include "trace/report_genealogy.hpp"
#include "trace/trace_file.hpp"

namespace shoal::trace {
namespace {

constexpr std::size_t most_posterior_texts = 60;
constexpr std::size_t open_posterior_texts = 12;
constexpr std::size_t longest_posterior_text = 4'000;
constexpr std::size_t longest_text = 30'000;

/// One text of the (partial) posterior.
struct Answer {
  std::string text;
  double probability = 0.0;
  std::size_t particles = 0;
  bool finished = false;
};

struct Posterior {
  std::vector<Answer> shown;  ///< by falling probability
  std::size_t texts = 0;      ///< all of them
};

// ---------------------------------------------------------------------------------------------- the posterior

void sort_and_cut(std::vector<Answer> answers, Posterior* posterior) {
  posterior->texts = answers.size();
  std::ranges::stable_sort(answers, std::greater<>(), &Answer::probability);
  answers.resize(std::min(answers.size(), most_posterior_texts));
  posterior->shown = std::move(answers);
}

Posterior final_posterior(const TraceResult& result) {
  std::map<std::string_view, Answer> by_text;
  for (std::size_t i = 0; i < result.texts.size(); ++i) {
    Answer& answer = by_text[result.texts[i]];
    answer.particles += result.count[i];
    answer.finished |= result.finished[i] != 0;
  }
  std::vector<Answer> answers;
  for (const smc::PosteriorEntry& entry : result.posterior) {
    Answer answer = by_text[entry.text];
    answer.text = entry.text;
    answer.probability = entry.probability;
    answers.push_back(std::move(answer));
  }
  Posterior posterior;
  sort_and_cut(std::move(answers), &posterior);
  return posterior;
}

/// From the last batch of a run that has no result.
Posterior partial_posterior(const Trace& trace) {
  Posterior posterior;
  if (trace.batches.empty() || !trace.info.lists_particles) return posterior;
  const smc::BatchRecord& last = trace.batches.back();
  const auto shares = probabilities(last);
  std::map<std::string, Answer> by_text;
  for (std::uint32_t i = 0; i < shares.size(); ++i) {
    if (!(shares[i] > 0)) continue;
    Answer& answer = by_text[text_after(trace, trace.batches.size() - 1, i)];
    answer.probability += shares[i];
    ++answer.particles;
    answer.finished |= last.finished[i] != 0;
  }
  std::vector<Answer> answers;
  for (auto& [text, answer] : by_text) {
    answer.text = text;
    answers.push_back(std::move(answer));
  }
  sort_and_cut(std::move(answers), &posterior);
  return posterior;
}

// ---------------------------------------------------------------------------------------------- the page

std::string fact(const std::string& name, const std::string& html) {
  return html.empty() ? "" : "<div><dt>" + name + "</dt><dd>" + html + "</dd></div>";
}

std::string row(const std::string& name, const std::string& html) {
  return "<tr><th scope=\"row\">" + name + "</th><td>" + html + "</td></tr>";
}

std::string counted(double count, const std::string& singular) {
  return grouped(count) + " " + singular + (count == 1 ? "" : "s");
}

struct Ending {
  const char* css;
  const char* word;
  std::string why;
};

Ending ending_of(const Trace& trace, const ReportSource& source) {
  if (!trace.result)
    return source.running ? Ending{"busy", "running", "the run is still going"}
                          : Ending{"bad", "no result", "the run was killed, or it is still going on another machine"};
  static const std::map<std::string, Ending> endings{
      {"completed", {"good", "completed", "every particle finished"}},
      {"max_tokens", {"fair", "max_tokens", "some particles reached the longest answer allowed and were made to end"}},
      {"early_stop", {"good", "early_stop", "the finished particles held enough of the weight"}},
      {"timeout", {"fair", "timeout", "the time was up"}},
      {"signal", {"fair", "signal", "someone stopped the run"}},
      {"extinct", {"bad", "extinct", "every particle has weight zero"}}};
  const auto known = endings.find(trace.result->finish_reason);
  return known == endings.end() ? Ending{"fair", "ended", trace.result->finish_reason} : known->second;
}

/// What a reader must know before anything else; empty if all is well.
std::string notice(const Trace& trace, const ReportSource& source) {
  std::string words;
  const std::string whole = trace.batches.size() == 1 ? "batch" : "batches";
  if (!trace.result) {
    words = "<strong>This report is partial.</strong> ";
    words += source.running ? "The run is still going: "
                            : "The trace has no result: the run was killed, or it is still "
                              "going on another machine. What follows shows ";
    words += "the " + grouped(static_cast<double>(trace.batches.size())) + " " + whole + " completed so far.";
    if (source.running) words += " Make the report again to see more.";
  } else if (trace.result->finish_reason == "extinct") {
    words = "<strong>The run is extinct.</strong> Every particle has weight zero" +
            (trace.result->extinct_by.empty()
                 ? std::string()
                 : "; the last were killed by <b>" + escaped(trace.result->extinct_by) + "</b>") +
            (trace.batches.empty() ? "" : " in batch " + std::to_string(trace.batches.back().batch)) +
            ". There is no answer. Use more particles, a weaker constraint, or the masked proposal.";
  }
  if (!trace.batches.empty() && trace.batches.front().batch > 0)
    words += " The run was resumed: the trace begins with batch " + std::to_string(trace.batches.front().batch) + ".";
  return words.empty() ? "" : "<p class=\"notice\" role=\"status\">" + words + "</p>\n";
}

std::string log_z_text(const Trace& trace, const BatchSeries& series) {
  if (!trace.result && trace.batches.empty()) return "";
  const double log_z = trace.result ? trace.result->log_z : trace.batches.back().log_z;
  std::string html = fixed(log_z, 3);
  if (series.errors.empty() || !std::isfinite(log_z)) return html;
  const double error = series.errors.back().standard_error;
  return html +
         (std::isnan(error) ? " <small>error unknown</small>" : " <small>± " + significant(error, 2) + "</small>");
}

/// ISO 8601 in UTC with spaces, so that it may wrap.
std::string readable(std::string time) {
  if (time.size() != 20 || time[10] != 'T' || time[19] != 'Z') return time;
  return time.replace(19, 1, " UTC").replace(10, 1, " ");
}

std::string facts(const Trace& trace, const BatchSeries& series) {
  const TraceInfo& info = trace.info;
  const double steps = std::accumulate(trace.batches.begin(), trace.batches.end(), 0.0,
                                       [](double sum, const smc::BatchRecord& r) { return sum + r.tokens; });
  std::string html = "<dl class=\"facts\">";
  html += fact("log Ẑ", log_z_text(trace, series));
  if (!trace.batches.empty())
    html += fact("ESS", significant(trace.result ? trace.result->ess : trace.batches.back().ess, 3) + " <small>of " +
                            grouped(info.particles) + "</small>");
  html += fact("particles", grouped(info.particles));
  html += fact("batches", grouped(static_cast<double>(trace.batches.size())) + " <small>" +
                              counted(steps, "token step") + "</small>");
  html += fact("ranks", grouped(info.ranks));
  if (!trace.batches.empty()) html += fact("time", seconds_text(trace.batches.back().time_s));
  html += fact("model", escaped(info.model_id));
  html += fact("device", escaped(info.isa.empty() ? info.device : info.device + ", " + info.isa));
  html += fact("seed", std::to_string(info.seed));
  html += fact("started",
               "<time datetime=\"" + escaped(info.start_time) + "\">" + escaped(readable(info.start_time)) + "</time>");
  return html + "</dl>\n";
}

std::string answer_text(const Trace& trace, const Posterior& posterior) {
  if (trace.result) return trace.result->best;
  return posterior.shown.empty() ? "" : posterior.shown.front().text;
}

std::string header(const Trace& trace, const ReportSource& source, const BatchSeries& series,
                   const Posterior& posterior) {
  const Ending ending = ending_of(trace, source);
  const std::string answer = answer_text(trace, posterior);
  std::string html =
      "<header><p class=\"brand\">shoal report <span>" + escaped(source.name) + "</span></p>\n" + notice(trace, source);
  html += "<h1 class=\"prompt\" dir=\"auto\"><span class=\"label\">Prompt</span>" +
          (trace.info.prompt.empty() ? "<em>none</em>" : escaped(shortened(trace.info.prompt, longest_text))) +
          "</h1>\n";
  html += "<blockquote class=\"answer\" dir=\"auto\"><span class=\"label\">" +
          std::string(trace.result ? "Answer" : "Most probable so far") + "</span>" +
          (answer.empty() ? "<em>none</em>" : escaped(shortened(answer, longest_text))) + "</blockquote>\n";
  html += "<p class=\"ending\"><span class=\"chip " + std::string(ending.css) + "\">" + ending.word + "</span> " +
          escaped(ending.why) + "</p>\n";
  return html + facts(trace, series) + "</header>\n";
}

std::string section(const std::string& id, const std::string& title, const std::string& html) {
  return "<section id=\"" + id + "\" aria-labelledby=\"" + id + "-title\"><h2 id=\"" + id + "-title\">" + title +
         "</h2>\n" + html + "</section>\n";
}

std::string posterior_item(const Answer& answer, double most) {
  const double width = most > 0 ? 100.0 * answer.probability / most : 0.0;
  return "<li><div class=\"bar\" aria-hidden=\"true\"><i style=\"width:" + coordinate(width) +
         "%\"></i></div><b class=\"share\">" + percent(answer.probability) + "</b><div class=\"text\" dir=\"auto\">" +
         (answer.text.empty() ? "<em>empty text</em>" : escaped(shortened(answer.text, longest_posterior_text))) +
         "</div><small>" + counted(static_cast<double>(answer.particles), "particle") +
         (answer.finished ? "" : ", unfinished") + "</small></li>\n";
}

std::string posterior_html(const Trace& trace, const Posterior& posterior) {
  if (!trace.result && !trace.info.lists_particles)
    return "<p>The trace does not list so many particles: the texts come with the result.</p>\n";
  if (posterior.shown.empty()) return "<p>No text has positive weight.</p>\n";
  std::string html = "<p class=\"note\">" + counted(static_cast<double>(posterior.texts), "distinct text") +
                     (trace.result ? "" : " so far") + ", by probability.";
  if (trace.token_bytes.empty() && !trace.result)
    html += " The trace does not hold the tokens’ text, so they are shown as token ids.";
  html += "</p>\n<ol class=\"posterior\">\n";
  double shown = 0.0;
  for (std::size_t i = 0; i < posterior.shown.size(); ++i) {
    if (i == open_posterior_texts)
      html += "</ol>\n<details><summary>" + std::to_string(posterior.shown.size() - i) +
              " less probable texts</summary><ol class=\"posterior\">\n";
    html += posterior_item(posterior.shown[i], posterior.shown.front().probability);
    shown += posterior.shown[i].probability;
  }
  html += posterior.shown.size() > open_posterior_texts ? "</ol></details>\n" : "</ol>\n";
  if (posterior.texts > posterior.shown.size())
    html += "<p class=\"note\">and " +
            counted(static_cast<double>(posterior.texts - posterior.shown.size()), "more text") + " with " +
            percent(std::max(0.0, 1.0 - shown)) + " between them.</p>\n";
  return html;
}

std::string batch_row(const Trace& trace, const BatchSeries& series, std::size_t b) {
  const smc::BatchRecord& r = trace.batches[b];
  std::string html = "<tr><th scope=\"row\">" + std::to_string(r.batch) + "</th>";
  const auto cell = [&](const std::string& text) { html += "<td>" + text + "</td>"; };
  cell(seconds_text(r.time_s));
  cell(std::to_string(r.tokens));
  cell(significant(r.ess, 4));
  cell(r.resampled ? "yes" : "");
  cell(fixed(r.log_z, 4));
  cell(significant(series.errors[b].standard_error, 2));
  cell(trace.info.lists_particles ? grouped(static_cast<double>(series.lineages[b])) : "");
  cell(grouped(static_cast<double>(r.unique_contexts)));
  cell(grouped(static_cast<double>(r.migration.moved)));
  cell(grouped(static_cast<double>(r.migration.between_nodes)));
  cell(grouped(static_cast<double>(r.migration.sent)));
  cell(grouped(static_cast<double>(r.migration.messages)));
  cell(bytes_text(static_cast<double>(r.migration.bytes)));
  for (const double seconds : phase_seconds(trace, b)) cell(seconds_text(seconds));
  return html + "</tr>\n";
}

std::string batch_table(const Trace& trace, const BatchSeries& series) {
  std::string html =
      "<details><summary>The numbers of every batch</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"Table of batches\"><table class=\"numbers\"><thead><tr>";
  std::vector<std::string> heads{"batch",    "time",     "tokens", "ESS",           "resampled", "log Ẑ",    "± error",
                                 "lineages", "contexts", "moved",  "between nodes", "sent",      "messages", "bytes"};
  heads.insert(heads.end(), phase_names.begin(), phase_names.end());
  for (const std::string& head : heads) html += "<th scope=\"col\">" + head + "</th>";
  html += "</tr></thead><tbody>\n";
  for (const std::size_t b : series.shown) html += batch_row(trace, series, b);
  return html + "</tbody></table></div></details>\n";
}

std::string error_method() {
  return "<details><summary>How the error of log Ẑ is estimated</summary><p>From this one run, by where the particles "
         "of the "
         "first batch (“founders”) end up: with S<sub>e</sub> the share of the weight that descends from founder e, "
         "and r "
         "resamplings so far, Var(Ẑ)/Z² is estimated by 1 − (N/(N−1))<sup>r+1</sup>·(1 − Σ S<sub>e</sub>²). Its root "
         "is the "
         "standard error of log Ẑ. Sources: H. P. Chan and T. L. Lai, <cite>A general theory of particle filters in "
         "hidden "
         "Markov models and some applications</cite>, Annals of Statistics 41 (2013); A. Lee and N. Whiteley, "
         "<cite>Variance "
         "estimation in the particle filter</cite>, Biometrika 105 (2018). It is exact in expectation for multinomial "
         "resampling "
         "and tends to be too large for the other schemes. It says nothing once all particles share one "
         "founder.</p></details>\n";
}

std::string batches_html(const Trace& trace, const BatchSeries& series) {
  if (trace.batches.empty()) return "<p>No batch was completed.</p>\n";
  std::string html;
  if (series.shown.size() < trace.batches.size())
    html += "<p class=\"note\">" + grouped(static_cast<double>(series.shown.size())) + " of " +
            grouped(static_cast<double>(trace.batches.size())) + " batches are shown, evenly spaced.</p>";
  return html + "<div class=\"charts\">\n" + charts_html(trace, series) + "</div>\n" + error_method() +
         batch_table(trace, series);
}

/// What to type to run it again.
std::string full_command(const TraceInfo& info) {
  const bool launcher = info.command_line.starts_with("mpirun") || info.command_line.starts_with("srun");
  return (info.ranks > 1 && !launcher ? "mpirun -n " + std::to_string(info.ranks) + " " : "") + info.command_line;
}

std::string option_rows(const std::string& options_json) {
  const auto options = nlohmann::ordered_json::parse(options_json, nullptr, false);
  if (!options.is_object())
    return options_json.empty() ? ""
                                : row("options", "<code>" + escaped(shortened(options_json, longest_text)) + "</code>");
  std::string html;
  for (const auto& [name, value] : options.items()) {
    const std::string text = value.is_string() ? value.get<std::string>()
                             : value.is_null() || value.empty()
                                 ? "none"
                                 : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    html += row(escaped(name), text.empty() ? "none" : "<code>" + escaped(shortened(text, longest_text)) + "</code>");
  }
  return html;
}

std::string again_html(const TraceInfo& info) {
  std::string html = "<div class=\"command\"><pre tabindex=\"0\"><code id=\"command\">" +
                     escaped(shortened(full_command(info), 100'000)) +
                     "</code></pre><button type=\"button\" id=\"copy\" hidden>Copy</button></div>\n";
  if (info.ranks > 1) html += "<p class=\"note\">The answer does not depend on the number of ranks.</p>\n";
  html +=
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Options of the run\"><table "
      "class=\"options\"><tbody>\n";
  std::string potentials;
  for (const std::string& name : info.potentials) potentials += (potentials.empty() ? "" : ", ") + name;
  html += row("Shoal", escaped(info.shoal_version) + ", " + escaped(info.build));
  html += row("weights", "<code>" + escaped(info.weights_hash) + "</code>");
  html += row("potentials in use", potentials.empty() ? "none" : escaped(potentials));
  return html + option_rows(info.options_json) + "</tbody></table></div>\n";
}

std::string head(const Trace& trace) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"shoal " +
         escaped(trace.info.shoal_version) +
         "\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
         "script-src 'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n<title>Shoal report: " +
         escaped(shortened(trace.info.prompt, 60)) + "</title>\n<style>\n" + std::string(report_css()) +
         "</style>\n</head>\n";
}

}  // namespace

std::string html_report(const Trace& trace, const ReportSource& source) {
  check_lineage(trace);
  const BatchSeries series = batch_series(trace);
  const Posterior posterior = trace.result ? final_posterior(*trace.result) : partial_posterior(trace);
  const GenealogyParts genealogy = genealogy_parts(trace, series.lineages, answer_text(trace, posterior));

  std::string page = head(trace) + "<body>\n<main>\n" + header(trace, source, series, posterior);
  page += section("posterior", trace.result ? "Posterior" : "Posterior so far", posterior_html(trace, posterior));
  if (!genealogy.html.empty()) page += section("lineage", "Genealogy", genealogy.html);
  page += section("batches", "Batch by batch", batches_html(trace, series));
  page += section("again", "Run it again", again_html(trace.info));
  page += "<footer>Made by shoal report. The page needs no network.</footer>\n</main>\n";
  page += "<script type=\"application/json\" id=\"data\">{\"particles\":" + std::to_string(trace.info.particles) +
          ",\"batches\":{" + charts_json(trace, series) + "},\"genealogy\":" + genealogy.json +
          "}</script>\n<script>\n" + std::string(report_js()) + "</script>\n</body>\n</html>\n";
  return page;
}

bool is_being_written(const std::string& path) { return is_in_use(path); }

}  // namespace shoal::trace
