#include "trace/report_charts.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "trace/html_text.hpp"

namespace shoal::trace {
namespace {

constexpr std::size_t most_batches_shown = 500;

using Values = std::vector<double>;

// ---------------------------------------------------------------------------------------------- axes

std::vector<double> nice_ticks(double low, double high, int wanted) {
  const double raw = (high - low) / wanted;
  if (!(raw > 0) || !std::isfinite(raw)) return {low};
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double lead = raw / power;
  const double step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k) ticks.push_back(k * step);
  return ticks;
}

std::string tick_text(double value) {
  const double size = std::abs(value);
  if (size >= 1e6) return significant(value / 1e6, 3) + "M";
  if (size >= 1e4) return significant(value / 1e3, 3) + "k";
  return std::abs(value) < 1e-12 ? "0" : significant(value, 3);
}

struct Range {
  double low = 0.0;
  double high = 1.0;
};

/// Of the finite values; widened if they are all equal.
Range range_of(const Values& values) {
  Range range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return {0.0, 1.0};
  const double width = range.high - range.low;
  const double margin = width > 0 ? 0.06 * width : std::max(0.5, 0.1 * std::abs(range.high));
  return {range.low - margin, range.high + margin};
}

Range from_zero(const Values& values) {
  double high = 0.0;
  for (const double value : values)
    if (std::isfinite(value)) high = std::max(high, value);
  return {0.0, high > 0 ? 1.06 * high : 1.0};
}

// ---------------------------------------------------------------------------------------------- one chart

enum class Ticks { any, whole };

/// Draws series over the shown batches. Every chart has the same geometry, so one cursor fits them all.
class Chart {
 public:
  static constexpr double width = 440, height = 178, left = 50, right = 10, top = 10, bottom = 34;

  Chart(std::size_t count, Range y, Ticks ticks = Ticks::any) : count_(count), y_(y), ticks_(ticks) {}

  [[nodiscard]] double step() const {
    return (width - left - right) / static_cast<double>(std::max<std::size_t>(count_, 1));
  }
  [[nodiscard]] double x(std::size_t i) const { return left + (static_cast<double>(i) + 0.5) * step(); }
  [[nodiscard]] double y(double value) const {
    return height - bottom - (value - y_.low) / (y_.high - y_.low) * (height - top - bottom);
  }

  void axes(const std::vector<std::string>& x_labels, const std::string& x_title) {
    for (const double tick : nice_ticks(y_.low, y_.high, 4)) {
      if (ticks_ == Ticks::whole && tick != std::floor(tick)) continue;
      line("grid", left, y(tick), width - right, y(tick));
      text("tick end", left - 6, y(tick) + 4, tick_text(tick));
    }
    const std::size_t every = label_stride(x_labels);
    for (std::size_t i = 0; i < x_labels.size(); i += every) text("tick mid", x(i), height - bottom + 16, x_labels[i]);
    text("tick mid", left + (width - left - right) / 2, height - 3, x_title);
  }

  void curve(const char* css, const Values& values) {
    std::string d;
    bool pen_down = false;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i])) d += (pen_down ? "L" : "M") + coordinate(x(i)) + " " + coordinate(y(values[i]));
      pen_down = std::isfinite(values[i]);
    }
    path(css, d);
    if (values.size() <= 60)
      for (std::size_t i = 0; i < values.size(); ++i)
        if (std::isfinite(values[i])) circle("point", x(i), y(values[i]));
  }

  /// Between low and high, piecewise where both are finite.
  void band(const char* css, const Values& low, const Values& high) {
    for (std::size_t i = 0; i < low.size(); ++i) {
      if (!std::isfinite(low[i]) || !std::isfinite(high[i])) continue;
      std::size_t end = i;
      while (end + 1 < low.size() && std::isfinite(low[end + 1]) && std::isfinite(high[end + 1])) ++end;
      std::string d;
      const double half = end == i ? std::min(step() / 2, 4.0) : 0.0;  // a lone batch still shows a width
      for (std::size_t k = i; k <= end; ++k)
        d += (k == i ? "M" : "L") + coordinate(x(k) - half) + " " + coordinate(y(high[k]));
      for (std::size_t k = end + 1; k-- > i;) d += "L" + coordinate(x(k) + half) + " " + coordinate(y(low[k]));
      if (half > 0)
        d = "M" + coordinate(x(i) - half) + " " + coordinate(y(high[i])) + "h" + coordinate(2 * half) + "V" +
            coordinate(y(low[i])) + "h" + coordinate(-2 * half);
      path(css, d + "Z");
      i = end;
    }
  }

  /// @param levels stacked from the bottom up; one path per level
  void bars(const std::vector<std::pair<std::string, Values>>& levels) {
    const double half = std::min(0.38 * step(), 24.0);
    Values floor(count_, 0.0);
    for (const auto& [css, values] : levels) {
      std::string d;
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (!(values[i] > 0) || !std::isfinite(values[i])) continue;
        const double lower = y(floor[i]);
        floor[i] += values[i];
        d += "M" + coordinate(x(i) - half) + " " + coordinate(lower) + "V" + coordinate(y(floor[i])) + "h" +
             coordinate(2 * half) + "V" + coordinate(lower) + "Z";
      }
      path(css.c_str(), d);
    }
  }

  /// @param at in bars, from the middle of the first
  void x_tick(double at, const std::string& words) {
    text("tick mid", left + (at + 0.5) * step(), height - bottom + 16, words);
  }

  void level(const char* css, double value) { line(css, left, y(value), width - right, y(value)); }

  void diamond(std::size_t i, double value) {
    if (!std::isfinite(value)) return;
    path("mark", "M" + coordinate(x(i)) + " " + coordinate(y(value) - 5) + "l5 5l-5 5l-5-5Z");
  }

  [[nodiscard]] std::string svg(const std::string& label) const {
    return "<svg viewBox=\"0 0 440 178\" role=\"img\" aria-label=\"" + escaped(label) + "\">" + body_ +
           "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"10\" y2=\"144\"/></svg>";
  }

 private:
  [[nodiscard]] std::size_t label_stride(const std::vector<std::string>& labels) const {
    std::size_t longest = 1;
    for (const auto& label : labels) longest = std::max(longest, label.size());
    const double room = (static_cast<double>(longest) + 1.5) * 7.0;
    for (const std::size_t stride : {1, 2, 5, 10, 20, 50, 100, 200, 500})
      if (static_cast<double>(stride) * step() >= room) return stride;
    return 1000;
  }

  void path(const char* css, const std::string& d) {
    if (!d.empty()) body_ += std::string("<path class=\"") + css + "\" d=\"" + d + "\"/>";
  }
  void line(const char* css, double x1, double y1, double x2, double y2) {
    path(css, "M" + coordinate(x1) + " " + coordinate(y1) + "L" + coordinate(x2) + " " + coordinate(y2));
  }
  void circle(const char* css, double cx, double cy) {
    body_ += std::string("<circle class=\"") + css + "\" r=\"2.6\" cx=\"" + coordinate(cx) + "\" cy=\"" +
             coordinate(cy) + "\"/>";
  }
  void text(const char* css, double at_x, double at_y, const std::string& words) {
    body_ += std::string("<text class=\"") + css + "\" x=\"" + coordinate(at_x) + "\" y=\"" + coordinate(at_y) + "\">" +
             escaped(words) + "</text>";
  }

  std::size_t count_;
  Range y_;
  Ticks ticks_;
  std::string body_;
};

struct Figure {
  const char* key = "";  ///< of the read-out; empty: no cursor
  std::string title;
  std::string svg;
  std::string note;  ///< HTML
};

std::string figure_html(const Figure& figure) {
  const std::string key = figure.key;
  return "<figure class=\"chart\"" +
         (key.empty() ? std::string()
                      : " data-chart=\"" + key + "\" tabindex=\"0\" role=\"group\" aria-label=\"" +
                            escaped(figure.title) + ", arrow keys read the batches\"") +
         "><figcaption><h3>" + escaped(figure.title) + "</h3>" + (key.empty() ? "" : "<output></output>") +
         "</figcaption>" + figure.svg + "<p class=\"note\">" + figure.note + "</p></figure>\n";
}

// ---------------------------------------------------------------------------------------------- the charts

enum class ParticleState { finished, growing, zero };

std::size_t count_state(const smc::BatchRecord& record, ParticleState wanted) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < record.finished.size(); ++i) {
    const bool zero = !(record.log_weight[i] > -std::numeric_limits<double>::infinity());
    const ParticleState state = zero                      ? ParticleState::zero
                                : record.finished[i] != 0 ? ParticleState::finished
                                                          : ParticleState::growing;
    count += state == wanted ? 1 : 0;
  }
  return count;
}

class Charts {
 public:
  Charts(const Trace& trace, const BatchSeries& series) : trace_(trace), series_(series) {
    for (const std::size_t b : series.shown) labels_.push_back(std::to_string(trace.batches[b].batch));
  }

  [[nodiscard]] std::string all() const {
    const bool listed = trace_.info.lists_particles;
    return figure_html(ess()) + figure_html(log_z()) +
           (listed ? figure_html(lineages()) + figure_html(state()) : std::string()) + figure_html(contexts()) +
           figure_html(moved()) + figure_html(time()) + (listed ? figure_html(weights()) : std::string());
  }

 private:
  template <class Field>
  [[nodiscard]] Values values(const Field& field) const {
    Values result;
    for (const std::size_t b : series_.shown) result.push_back(static_cast<double>(field(b)));
    return result;
  }
  [[nodiscard]] const smc::BatchRecord& batch(std::size_t b) const { return trace_.batches[b]; }
  [[nodiscard]] Chart chart(Range y, Ticks ticks = Ticks::any) const {
    Chart result(labels_.size(), y, ticks);
    result.axes(labels_, "batch");
    return result;
  }

  [[nodiscard]] Figure ess() const {
    const double n = trace_.info.particles;
    const Values ess = values([&](std::size_t b) { return batch(b).ess; });
    Chart c = chart({0.0, std::max(1.06 * n, from_zero(ess).high)});
    c.curve("line", ess);
    int resamplings = 0;
    for (std::size_t i = 0; i < series_.shown.size(); ++i)
      if (batch(series_.shown[i]).resampled) c.diamond(i, ess[i]);
    for (const auto& record : trace_.batches) resamplings += record.resampled ? 1 : 0;
    const bool threshold = series_.ess_threshold >= 0 && series_.ess_threshold <= 1;
    if (threshold) c.level("threshold", series_.ess_threshold * n);
    return {"ess", "Effective sample size",
            c.svg("Effective sample size by batch, at the end " + significant(ess.back(), 3) + " of " + grouped(n)),
            "Of " + grouped(n) + " particles, before resampling. <span class=\"key mark\"></span>resampled (" +
                std::to_string(resamplings) + "×)" +
                (threshold ? "<span class=\"item\"><span class=\"key threshold\"></span>threshold " +
                                 significant(series_.ess_threshold * n, 3) + "</span>"
                           : "")};
  }

  [[nodiscard]] Figure log_z() const {
    const Values log_z = values([&](std::size_t b) { return batch(b).log_z; });
    const Values error = values([&](std::size_t b) { return series_.errors[b].standard_error; });
    Values low;
    Values high;
    Values all = log_z;
    for (std::size_t i = 0; i < log_z.size(); ++i) {
      low.push_back(log_z[i] - error[i]);
      high.push_back(log_z[i] + error[i]);
    }
    all.insert(all.end(), low.begin(), low.end());
    all.insert(all.end(), high.begin(), high.end());
    Chart c = chart(range_of(all));
    c.band("band", low, high);
    c.curve("line", log_z);
    return {"log_z", "log Ẑ",
            c.svg("Estimate of the log marginal likelihood by batch, at the end " + fixed(log_z.back(), 3)),
            "Estimate of the log marginal likelihood, in nats; the band is ± 1 standard error. " + error_note()};
  }

  [[nodiscard]] std::string error_note() const {
    const LogZError& last = series_.errors.back();
    if (std::isnan(last.standard_error))
      return "<strong>No error can be given for the last batch</strong> (" + escaped(last.why_not) + ").";
    return last.founders < 10 ? "<strong>Rough</strong>: only " + std::to_string(last.founders) +
                                    " particles of the first batch have descendants."
                              : "";
  }

  [[nodiscard]] Figure lineages() const {
    const Values lineages = values([&](std::size_t b) { return series_.lineages[b]; });
    Chart c = chart(from_zero(lineages), Ticks::whole);
    c.curve("line", lineages);
    return {"lineages", "Surviving lineages",
            c.svg("Particles with descendants at the end, by batch; in the first batch " + grouped(lineages.front())),
            "Particles of each batch that have descendants in the last one. 1 means that all share that history."};
  }

  [[nodiscard]] Figure state() const {
    const auto part = [&](ParticleState state) {
      return values([&](std::size_t b) { return count_state(batch(b), state); });
    };
    Chart c = chart({0.0, 1.06 * trace_.info.particles}, Ticks::whole);
    c.bars({{"finished", part(ParticleState::finished)},
            {"growing", part(ParticleState::growing)},
            {"zero", part(ParticleState::zero)}});
    return {
        "state", "Finished and growing particles", c.svg("Particles by state after each batch"),
        "After the batch, before resampling. <span class=\"item\"><span class=\"key finished\"></span>finished</span>"
        "<span class=\"item\"><span class=\"key growing\"></span>growing</span>"
        "<span class=\"item\"><span class=\"key zero\"></span>weight zero</span>"};
  }

  [[nodiscard]] Figure contexts() const {
    const Values contexts = values([&](std::size_t b) { return batch(b).unique_contexts; });
    Chart c = chart(from_zero(contexts), Ticks::whole);
    c.bars({{"bar", contexts}});
    return {"contexts", "Distinct contexts", c.svg("Distinct contexts in the last forward pass of each batch"),
            "Rows of the batch’s last forward pass. Equal texts are computed once; finished particles not at all."};
  }

  [[nodiscard]] Figure moved() const {
    const Values moved = values([&](std::size_t b) { return batch(b).migration.moved; });
    double copies = 0;
    double bytes = 0;
    for (const auto& record : trace_.batches) {
      copies += static_cast<double>(record.migration.moved);
      bytes += static_cast<double>(record.migration.bytes);
    }
    Chart c = chart(from_zero(moved), Ticks::whole);
    c.bars({{"bar", moved}});
    return {"moved", "Particles that changed rank", c.svg("Particles that changed rank after each batch"),
            trace_.info.ranks == 1 ? "One rank: nothing had to move."
                                   : grouped(copies) + " in all, " + bytes_text(bytes) + " sent over " +
                                         std::to_string(trace_.info.ranks) + " ranks."};
  }

  [[nodiscard]] Figure time() const {
    std::vector<std::pair<std::string, Values>> levels;
    for (std::size_t k = 0; k < phase_names.size(); ++k)
      levels.emplace_back("phase p" + std::to_string(k),
                          values([&](std::size_t b) { return phase_seconds(trace_, b)[k]; }));
    Values totals(labels_.size(), 0.0);
    for (const auto& level : levels)
      for (std::size_t i = 0; i < totals.size(); ++i)
        totals[i] += std::isfinite(level.second[i]) ? level.second[i] : 0.0;
    Range range = from_zero(totals);
    const bool milliseconds = range.high < 1.0;
    if (milliseconds) {
      range.high *= 1e3;
      for (auto& level : levels)
        for (double& value : level.second) value *= 1e3;
    }
    Chart c = chart(range);
    c.bars(levels);
    return {"time", milliseconds ? "Time by phase, ms" : "Time by phase, s", c.svg("Time of each batch by phase"),
            time_legend()};
  }

  [[nodiscard]] std::string time_legend() const {
    Values totals(phase_names.size(), 0.0);
    for (std::size_t b = 0; b < trace_.batches.size(); ++b) {
      const Values seconds = phase_seconds(trace_, b);
      for (std::size_t k = 0; k < totals.size(); ++k) totals[k] += seconds[k];
    }
    const double all = std::accumulate(totals.begin(), totals.end(), 0.0);
    std::string html = "On rank 0. ";
    for (std::size_t k = 0; k < totals.size(); ++k)
      html += "<span class=\"item\"><span class=\"key phase p" + std::to_string(k) + "\"></span>" + phase_names[k] +
              " " + percent(all > 0 ? totals[k] / all : 0.0) + "</span> ";
    return html;
  }

  /// Histogram of the last batch's log-weights below the largest.
  [[nodiscard]] Figure weights() const {
    constexpr std::size_t bins = 24;
    const auto& weights = trace_.batches.back().log_weight;
    double top = -std::numeric_limits<double>::infinity();
    for (const double w : weights)
      if (std::isfinite(w)) top = std::max(top, w);
    double depth = 0.0;
    std::size_t dead = 0;
    for (const double w : weights) {
      if (std::isfinite(w))
        depth = std::max(depth, top - w);
      else
        ++dead;
    }
    if (!(depth > 0)) depth = 1.0;
    Values counts(bins, 0.0);
    for (const double w : weights)
      if (std::isfinite(w))
        counts[bins - 1 - std::min(bins - 1, static_cast<std::size_t>((top - w) / depth * bins))] += 1;
    Chart c(bins, from_zero(counts), Ticks::whole);
    c.axes({}, "nats below the largest weight");
    for (const double tick : nice_ticks(0.0, depth, 5)) c.x_tick((1.0 - tick / depth) * bins - 0.5, tick_text(-tick));
    c.bars({{"bar", counts}});
    return {
        "", "Weights after the last batch", c.svg("Histogram of the log-weights after the last batch"),
        "Particles by log-weight. " + (dead == 0 ? "None" : grouped(static_cast<double>(dead))) + " of weight zero."};
  }

  const Trace& trace_;
  const BatchSeries& series_;
  std::vector<std::string> labels_;
};

/// How many are finished, growing, of weight zero.
std::string states_json(const Trace& trace, std::size_t b) {
  std::string json = "[";
  for (const ParticleState state : {ParticleState::finished, ParticleState::growing, ParticleState::zero})
    json += (json.size() > 1 ? "," : "") + std::to_string(count_state(trace.batches[b], state));
  return json + "]";
}

double threshold_of(const std::string& options_json) {
  const auto options = nlohmann::json::parse(options_json, nullptr, false);
  if (!options.is_object()) return -1.0;
  const auto value = options.find("ess_threshold");
  return value != options.end() && value->is_number() ? value->get<double>() : -1.0;
}

}  // namespace

const std::vector<const char*> phase_names{"forward",   "potentials", "weights+collectives",
                                           "migration", "trace",      "other"};

std::vector<double> phase_seconds(const Trace& trace, std::size_t b) {
  const smc::PhaseTimes& t = trace.batches[b].times;
  std::vector<double> seconds{t.decode_s, t.potential_s, t.reduce_s, t.migrate_s, t.trace_s};
  for (double& value : seconds) value = std::isfinite(value) ? std::max(value, 0.0) : 0.0;
  const double elapsed = trace.batches[b].time_s - (b == 0 ? 0.0 : trace.batches[b - 1].time_s);
  const double other = elapsed - std::accumulate(seconds.begin(), seconds.end(), 0.0);
  const bool known = b > 0 || trace.batches.front().batch == 0;
  seconds.push_back(known && std::isfinite(other) ? std::max(other, 0.0) : 0.0);
  return seconds;
}

std::vector<std::size_t> evenly_chosen(std::size_t total, std::size_t limit) {
  const std::size_t stride = (total + limit - 1) / std::max<std::size_t>(limit, 1);
  std::vector<std::size_t> chosen;
  if (total == 0) return chosen;
  for (std::size_t i = (total - 1) % stride; i < total; i += stride) chosen.push_back(i);
  return chosen;
}

BatchSeries batch_series(const Trace& trace) {
  return {evenly_chosen(trace.batches.size(), most_batches_shown), surviving_lineages(trace), log_z_errors(trace),
          threshold_of(trace.info.options_json)};
}

std::string charts_html(const Trace& trace, const BatchSeries& series) {
  return trace.batches.empty() ? "" : Charts(trace, series).all();
}

std::string charts_json(const Trace& trace, const BatchSeries& series) {
  const auto list = [&](const char* name, const std::function<std::string(std::size_t)>& value) {
    std::string json = std::string("\"") + name + "\":[";
    for (std::size_t i = 0; i < series.shown.size(); ++i) json += (i == 0 ? "" : ",") + value(series.shown[i]);
    return json + "]";
  };
  const auto number = [&](const char* name, const auto& field) {
    return list(name, [&](std::size_t b) { return json_number(static_cast<double>(field(trace.batches[b])), 7); });
  };
  using Record = smc::BatchRecord;
  std::string json = number("number", [](const Record& r) { return r.batch; });
  json += "," + number("ess", [](const Record& r) { return r.ess; });
  json += "," + number("resampled", [](const Record& r) { return r.resampled ? 1 : 0; });
  json += "," + number("log_z", [](const Record& r) { return r.log_z; });
  json += "," + number("contexts", [](const Record& r) { return r.unique_contexts; });
  json += "," + number("moved", [](const Record& r) { return r.migration.moved; });
  json += "," + number("bytes", [](const Record& r) { return r.migration.bytes; });
  json += "," + list("error", [&](std::size_t b) { return json_number(series.errors[b].standard_error, 4); });
  json += "," + list("lineages", [&](std::size_t b) { return std::to_string(series.lineages[b]); });
  json += "," + list("state", [&](std::size_t b) { return states_json(trace, b); });
  json += "," + list("time", [&](std::size_t b) {
            std::string phases = "[";
            for (const double seconds : phase_seconds(trace, b))
              phases += (phases.size() > 1 ? "," : "") + json_number(seconds, 4);
            return phases + "]";
          });
  return json;
}

}  // namespace shoal::trace
