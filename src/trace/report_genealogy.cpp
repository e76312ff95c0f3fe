#include "trace/report_genealogy.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

#include "trace/html_text.hpp"
#include "trace/lineage.hpp"
#include "trace/report_charts.hpp"

namespace shoal::trace {
namespace {

constexpr std::size_t most_columns = 120;
constexpr std::size_t most_slots = 128;  ///< particles of a batch that are drawn one by one
constexpr std::size_t most_nodes = 7000;
constexpr std::size_t text_budget = 1'500'000;  ///< bytes of token text on the page
constexpr int colours = 8;
constexpr std::size_t most_members = 12;  ///< of a lineage, where not all particles are drawn
constexpr int trunk = -1;                 ///< lineage of what all, or nearly all, descend from
constexpr int other = colours;            ///< lineages beyond the colours

/// One particle after one batch.
struct Node {
  std::uint32_t particle = 0;
  std::size_t parent = 0;  ///< index in the previous column
  double y = 0.0;
  bool survives = false;  ///< has descendants of positive weight in the last batch
  bool answer = false;    ///< on the lineage of the answer
  int lineage = trunk;
  double share = 0.0;  ///< of its batch's weight
};
using Column = std::vector<Node>;

struct Picture {
  bool sampled = false;              ///< lineages of some particles, not all particles
  std::vector<std::size_t> batches;  ///< index of each column's batch
  std::vector<Column> columns;
  std::size_t grouped_at = 0;         ///< column whose particles found the lineages
  std::vector<double> family_weight;  ///< by particle of that column's batch: share of the weight at the end
  double drawn_weight = 1.0;          ///< share of the weight of the lineages that are drawn
  double width = 1040;
  double height = 0;
  double column_step = 0;

  [[nodiscard]] bool extinct() const {
    return std::ranges::none_of(columns.back(), [](const Node& node) { return node.share > 0; });
  }
  [[nodiscard]] double x(std::size_t column) const {
    return columns.size() == 1 ? width / 2 : left + column_step * static_cast<double>(column);
  }
  static constexpr double left = 46, right = 24, top = 34, bottom = 14;
};

// ---------------------------------------------------------------------------------------------- what is drawn

std::vector<std::uint32_t> all_particles(std::size_t n) {
  std::vector<std::uint32_t> all(n);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

/// Shares of the last batch's weight; equal ones if extinct.
std::vector<double> final_shares(const Trace& trace) {
  auto shares = probabilities(trace.batches.back());
  if (std::ranges::none_of(shares, [](double share) { return share > 0; }))
    std::ranges::fill(shares, 1.0 / static_cast<double>(shares.size()));
  return shares;
}

/// A lineage is what descends from one particle of the first column that has a handful of survivors.
void find_lineages(const Trace& trace, const std::vector<std::size_t>& survivors, Picture* picture) {
  const std::size_t wanted = std::min<std::size_t>(picture->sampled ? colours : colours / 2, survivors.back());
  while (picture->grouped_at + 1 < picture->batches.size() && survivors[picture->batches[picture->grouped_at]] < wanted)
    ++picture->grouped_at;
  const auto shares = final_shares(trace);
  const auto founders = ancestors_at(trace, all_particles(shares.size()), trace.batches.size() - 1,
                                     picture->batches[picture->grouped_at]);
  picture->family_weight.assign(shares.size(), 0.0);
  for (std::size_t i = 0; i < shares.size(); ++i) picture->family_weight[founders[i]] += shares[i];
}

/// The founders of the heaviest lineages, heaviest first.
std::vector<std::uint32_t> heaviest_founders(const Picture& picture) {
  auto order = all_particles(picture.family_weight.size());
  const auto heavier = [&](std::uint32_t a, std::uint32_t b) {
    return picture.family_weight[a] != picture.family_weight[b] ? picture.family_weight[a] > picture.family_weight[b]
                                                                : a < b;
  };
  const auto kept = std::min<std::ptrdiff_t>(colours, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), heavier);
  order.resize(static_cast<std::size_t>(kept));
  std::erase_if(order, [&](std::uint32_t i) { return !(picture.family_weight[i] > 0); });
  return order;
}

/// @p count draws at even steps of the cumulative weight among @p members, each once.
std::vector<std::uint32_t> drawn_by_weight(std::span<const std::uint32_t> members, const std::vector<double>& shares,
                                           std::size_t count) {
  double total = 0.0;
  for (const std::uint32_t i : members) total += shares[i];
  std::vector<std::uint32_t> drawn;
  double sum = 0.0;
  std::size_t next = 0;
  for (const std::uint32_t i : members) {
    sum += shares[i] / total;
    const std::size_t before = next;
    while (next < count && (static_cast<double>(next) + 0.5) / static_cast<double>(count) < sum) ++next;
    if (next > before) drawn.push_back(i);
  }
  return drawn;
}

/// The particle whose lineage stands out: the heaviest with the answer's text, else the heaviest.
std::uint32_t answer_particle(const Trace& trace, const std::string& best) {
  const auto shares = probabilities(trace.batches.back());
  const auto has_text = [&](std::size_t i) {
    return trace.result && i < trace.result->texts.size() && trace.result->texts[i] == best;
  };
  std::size_t found = 0;
  for (std::size_t i = 1; i < shares.size(); ++i)
    if (std::pair(has_text(i), shares[i]) > std::pair(has_text(found), shares[found])) found = i;
  return static_cast<std::uint32_t>(found);
}

/// Some particles of each of the heaviest lineages, and the answer.
std::vector<std::uint32_t> chosen_leaves(const Trace& trace, std::uint32_t answer, Picture* picture) {
  const auto shares = final_shares(trace);
  const auto founders = ancestors_at(trace, all_particles(shares.size()), trace.batches.size() - 1,
                                     picture->batches[picture->grouped_at]);
  std::vector<std::uint32_t> leaves{answer};
  picture->drawn_weight = 0.0;
  for (const std::uint32_t founder : heaviest_founders(*picture)) {
    picture->drawn_weight += picture->family_weight[founder];
    std::vector<std::uint32_t> members;
    for (std::uint32_t i = 0; i < founders.size(); ++i)
      if (founders[i] == founder && shares[i] > 0) members.push_back(i);
    const auto drawn = drawn_by_weight(members, shares, most_members);
    leaves.insert(leaves.end(), drawn.begin(), drawn.end());
  }
  std::ranges::sort(leaves);
  leaves.erase(std::unique(leaves.begin(), leaves.end()), leaves.end());
  return leaves;
}

/// The columns from the last batch's @p leaves back; every column holds each ancestor once.
void trace_back(const Trace& trace, std::vector<std::uint32_t> leaves, Picture* picture) {
  const std::size_t count = picture->batches.size();
  picture->columns.resize(count);
  std::vector<std::uint32_t> particles = std::move(leaves);
  for (std::size_t c = count; c-- > 0;) {
    Column& column = picture->columns[c];
    for (const std::uint32_t i : particles) column.push_back({.particle = i});
    if (c == 0) break;
    const auto parents = ancestors_at(trace, particles, picture->batches[c], picture->batches[c - 1]);
    std::vector<std::uint32_t> distinct =
        picture->sampled ? parents : all_particles(static_cast<std::size_t>(trace.info.particles));
    std::ranges::sort(distinct);
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    for (std::size_t k = 0; k < column.size(); ++k)
      column[k].parent = static_cast<std::size_t>(std::ranges::lower_bound(distinct, parents[k]) - distinct.begin());
    particles = std::move(distinct);
  }
}

/// Sorts each column by its parents' order, so that no two lines cross.
void untangle(std::vector<Column>* columns) {
  std::vector<std::size_t> place;  // of each node of the previous column after sorting
  for (Column& column : *columns) {
    std::vector<std::size_t> order(column.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (!place.empty())
      for (Node& node : column) node.parent = place[node.parent];
    std::ranges::sort(
        order, {}, [&](std::size_t k) { return std::pair(place.empty() ? 0 : column[k].parent, column[k].particle); });
    Column sorted;
    place.assign(column.size(), 0);
    for (std::size_t k = 0; k < order.size(); ++k) {
      place[order[k]] = k;
      sorted.push_back(column[order[k]]);
    }
    column = std::move(sorted);
  }
}

// ---------------------------------------------------------------------------------------------- what it means

void mark_shares(const Trace& trace, Picture* picture) {
  for (std::size_t c = 0; c < picture->columns.size(); ++c) {
    const auto shares = probabilities(trace.batches[picture->batches[c]]);
    for (Node& node : picture->columns[c]) node.share = shares[node.particle];
  }
}

/// If all weights are zero, every particle of the last batch counts.
void mark_survivors(Picture* picture) {
  const bool extinct = picture->extinct();
  for (Node& node : picture->columns.back()) node.survives = extinct || node.share > 0;
  for (std::size_t c = picture->columns.size() - 1; c > 0; --c)
    for (const Node& node : picture->columns[c])
      if (node.survives) picture->columns[c - 1][node.parent].survives = true;
}

void mark_answer(std::uint32_t answer, Picture* picture) {
  const Column& last = picture->columns.back();
  auto at = static_cast<std::size_t>(std::ranges::find(last, answer, &Node::particle) - last.begin());
  if (!(last[at].share > 0)) return;
  for (std::size_t c = picture->columns.size(); c > 0; --c) {
    Node& node = picture->columns[c - 1][at];
    node.answer = true;
    at = node.parent;
  }
}

/// By column from @p first on: each node's ancestor in column @p first, as an index.
std::vector<std::vector<std::size_t>> roots_since(const std::vector<Column>& columns, std::size_t first) {
  std::vector<std::vector<std::size_t>> roots(columns.size());
  roots[first].resize(columns[first].size());
  std::iota(roots[first].begin(), roots[first].end(), std::size_t{0});
  for (std::size_t c = first + 1; c < columns.size(); ++c)
    for (const Node& node : columns[c]) roots[c].push_back(roots[c - 1][node.parent]);
  return roots;
}

/// The heaviest lineages get a colour each, the rest share one.
void mark_lineages(Picture* picture) {
  auto& columns = picture->columns;
  const std::size_t first = picture->grouped_at;
  const auto founders = heaviest_founders(*picture);
  const auto roots = roots_since(columns, first);
  for (std::size_t c = first; c < columns.size(); ++c) {
    for (std::size_t k = 0; k < columns[c].size(); ++k) {
      const auto at = std::ranges::find(founders, columns[first][roots[c][k]].particle);
      columns[c][k].lineage = at == founders.end() ? other : static_cast<int>(at - founders.begin());
    }
  }
}

// ---------------------------------------------------------------------------------------------- where it is

void place_slots(Picture* picture, double pitch) {
  for (Column& column : picture->columns)
    for (std::size_t k = 0; k < column.size(); ++k) column[k].y = Picture::top + pitch * (static_cast<double>(k) + 0.5);
}

/// Leaves evenly, every ancestor at the middle of its descendants.
void place_tree(Picture* picture, double pitch) {
  for (std::size_t c = picture->columns.size(); c-- > 0;) {
    Column& column = picture->columns[c];
    if (c + 1 == picture->columns.size()) {
      for (std::size_t k = 0; k < column.size(); ++k)
        column[k].y = Picture::top + pitch * (static_cast<double>(k) + 0.5);
      continue;
    }
    std::vector<std::pair<double, double>> span(column.size(), {1e9, -1e9});
    for (const Node& child : picture->columns[c + 1]) {
      auto& [low, high] = span[child.parent];
      low = std::min(low, child.y);
      high = std::max(high, child.y);
    }
    for (std::size_t k = 0; k < column.size(); ++k) column[k].y = (span[k].first + span[k].second) / 2;
  }
}

void place(Picture* picture) {
  const auto rows = static_cast<double>(picture->columns.back().size());
  const double pitch = std::clamp(620.0 / rows, 6.0, 24.0);
  picture->height = Picture::top + rows * pitch + Picture::bottom;
  picture->column_step = (picture->width - Picture::left - Picture::right) /
                         static_cast<double>(std::max<std::size_t>(picture->columns.size() - 1, 1));
  picture->sampled ? place_tree(picture, pitch) : place_slots(picture, pitch);
}

Picture make_picture(const Trace& trace, const std::vector<std::size_t>& survivors, const std::string& best) {
  Picture picture;
  const auto n = static_cast<std::size_t>(trace.info.particles);
  picture.batches = evenly_chosen(trace.batches.size(), most_columns);
  picture.sampled = n > most_slots || n * picture.batches.size() > most_nodes;
  find_lineages(trace, survivors, &picture);
  const std::uint32_t answer = answer_particle(trace, best);
  trace_back(trace, picture.sampled ? chosen_leaves(trace, answer, &picture) : all_particles(n), &picture);
  if (picture.sampled) untangle(&picture.columns);
  mark_shares(trace, &picture);
  mark_survivors(&picture);
  mark_answer(answer, &picture);
  mark_lineages(&picture);
  place(&picture);
  return picture;
}

// ---------------------------------------------------------------------------------------------- SVG

std::string classes(int rank, const Node& node) {
  const int lineage = node.lineage;
  return "r" + std::to_string(((rank % colours) + colours) % colours) + " l" +
         (lineage == trunk   ? "t"
          : lineage == other ? "o"
                             : std::to_string(lineage));
}

class Drawing {
 public:
  Drawing(const Trace& trace, const Picture& picture) : trace_(trace), picture_(picture) {}

  [[nodiscard]] std::string svg() const {
    return "<svg id=\"tree\" viewBox=\"0 0 " + coordinate(picture_.width) + " " + coordinate(picture_.height) +
           "\" tabindex=\"0\" role=\"group\" aria-roledescription=\"genealogy\" aria-label=\"" + escaped(label()) +
           "\" aria-describedby=\"tree-help\">" + scale() + edges(false) + nodes(false) +
           "<path id=\"chain\" d=\"\"/>" + edges(true) + answer_path() + nodes(true) +
           "<circle id=\"here\" r=\"0\"/></svg>";
  }

 private:
  [[nodiscard]] int rank(std::size_t c, const Node& node) const {
    return trace_.batches[picture_.batches[c]].rank[node.particle];
  }

  [[nodiscard]] std::string label() const {
    return "Genealogy: " + std::to_string(picture_.columns.size()) + " batches from left to right, " +
           std::to_string(picture_.columns.back().size()) +
           " particles from top to bottom, lines to the ancestors. Arrow keys walk.";
  }

  /// Batch numbers, and a stripe wherever the particles were resampled.
  [[nodiscard]] std::string scale() const {
    std::string out;
    const std::size_t count = picture_.columns.size();
    for (std::size_t c = 0; c + 1 < count; ++c) {
      bool resampled = false;
      for (std::size_t b = picture_.batches[c]; b < picture_.batches[c + 1]; ++b)
        resampled |= trace_.batches[b].resampled;
      if (resampled)
        out += "<rect class=\"stripe\" x=\"" + coordinate(picture_.x(c)) + "\" y=\"24\" width=\"" +
               coordinate(picture_.column_step) + "\" height=\"" + coordinate(picture_.height - 28) + "\"/>";
    }
    const auto every = static_cast<std::size_t>(std::ceil(34.0 / std::max(picture_.column_step, 1.0)));
    for (std::size_t c = 0; c < count; ++c)
      if ((count - 1 - c) % every == 0)
        out += text("tick mid", picture_.x(c), 16, std::to_string(trace_.batches[picture_.batches[c]].batch));
    out += text("tick", 0, 16, "batch");
    return picture_.sampled ? out : out + slot_labels();
  }

  [[nodiscard]] std::string slot_labels() const {
    std::string out;
    const Column& column = picture_.columns.front();
    const double pitch = column.size() > 1 ? column[1].y - column[0].y : 24.0;
    std::size_t every = 1;
    for (const std::size_t candidate : {1, 2, 5, 10, 20})
      if (static_cast<double>(every = candidate) * pitch >= 12) break;
    for (std::size_t i = 0; i < column.size(); i += every)
      out += text("tick end", Picture::left - 22, column[i].y + 4, std::to_string(column[i].particle));
    return out;
  }

  static std::string text(const char* css, double x, double y, const std::string& words) {
    return std::string("<text class=\"") + css + "\" x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\">" + words +
           "</text>";
  }

  [[nodiscard]] std::string edge(std::size_t c, const Node& node) const {
    const Node& from = picture_.columns[c - 1][node.parent];
    const double x0 = picture_.x(c - 1);
    const double x1 = picture_.x(c);
    const std::string middle = coordinate((x0 + x1) / 2);
    if (std::abs(from.y - node.y) < 0.05) return "M" + coordinate(x0) + " " + coordinate(from.y) + "H" + coordinate(x1);
    return "M" + coordinate(x0) + " " + coordinate(from.y) + "C" + middle + " " + coordinate(from.y) + " " + middle +
           " " + coordinate(node.y) + " " + coordinate(x1) + " " + coordinate(node.y);
  }

  /// One path per colour: what looks alike is one element.
  [[nodiscard]] std::string edges(bool survives) const {
    std::map<std::string, std::string> paths;
    for (std::size_t c = 1; c < picture_.columns.size(); ++c) {
      for (const Node& node : picture_.columns[c]) {
        if (node.survives != survives) continue;
        const bool moved = rank(c, node) != rank(c - 1, picture_.columns[c - 1][node.parent]);
        paths[(survives ? "edge live " + classes(rank(c, node), node) : std::string("edge dead")) +
              (moved ? " moved" : "")] += edge(c, node);
      }
    }
    std::string out;
    for (const auto& [css, d] : paths) out += "<path class=\"" + css + "\" d=\"" + d + "\"/>";
    return out;
  }

  [[nodiscard]] std::string answer_path() const {
    std::string d;
    for (std::size_t c = 1; c < picture_.columns.size(); ++c)
      for (const Node& node : picture_.columns[c])
        if (node.answer) d += edge(c, node);
    return d.empty() ? "" : "<path class=\"answer-line\" d=\"" + d + "\"/>";
  }

  [[nodiscard]] std::string nodes(bool survives) const {
    std::string out;
    const double biggest = picture_.columns.size() > 60 || picture_.columns.back().size() > 64 ? 3.6 : 5.5;
    for (std::size_t c = 0; c < picture_.columns.size(); ++c) {
      const Column& column = picture_.columns[c];
      double heaviest = 0.0;
      for (const Node& node : column) heaviest = std::max(heaviest, node.share);
      const auto& finished = trace_.batches[picture_.batches[c]].finished;
      for (const Node& node : column) {
        if (node.survives != survives) continue;
        const double radius = 1.3 + (biggest - 1.3) * (heaviest > 0 ? std::sqrt(node.share / heaviest) : 0.0);
        out += "<circle class=\"" + (survives ? "live " + classes(rank(c, node), node) : std::string("dead")) +
               (finished[node.particle] != 0 ? " done" : "") + "\" cx=\"" + coordinate(picture_.x(c)) + "\" cy=\"" +
               coordinate(node.y) + "\" r=\"" + coordinate(radius) + "\"/>";
      }
    }
    return out;
  }

  const Trace& trace_;
  const Picture& picture_;
};

// ---------------------------------------------------------------------------------------------- JSON

/// The details of every node, column by column.
class Details {
 public:
  Details(const Trace& trace, const Picture& picture) : trace_(trace), picture_(picture) {
    std::size_t nodes = 0;
    for (const Column& column : picture.columns) nodes += column.size();
    piece_limit_ = std::clamp<std::size_t>(text_budget / std::max<std::size_t>(nodes, 1), 24, 4000);
  }

  [[nodiscard]] std::string json() {
    std::string out = "{\"potentials\":[";
    for (std::size_t k = 0; k < trace_.info.potentials.size(); ++k)
      out += (k == 0 ? "" : ",") + script_string(trace_.info.potentials[k]);
    out += "],\"texts\":" + std::string(trace_.token_bytes.empty() ? "false" : "true");
    out += ",\"answer\":" + std::to_string(answer());
    out += ",\"starts\":" + std::string(trace_.batches.front().batch == 0 ? "true" : "false") + ",\"columns\":[\n";
    for (std::size_t c = 0; c < picture_.columns.size(); ++c) out += (c == 0 ? "" : ",\n") + column(c);
    return out + "]}";
  }

 private:
  /// Index in the last column.
  [[nodiscard]] std::ptrdiff_t answer() const {
    const Column& last = picture_.columns.back();
    const auto at = std::ranges::find_if(last, &Node::answer);
    return at == last.end() ? 0 : at - last.begin();
  }

  template <class Field>
  std::string list(std::size_t c, const char* name, const Field& field) {
    std::string out = std::string(",\"") + name + "\":[";
    bool first = true;
    for (const Node& node : picture_.columns[c]) {
      out += (first ? "" : ",") + field(node);
      first = false;
    }
    return out + "]";
  }

  std::string column(std::size_t c) {
    const std::size_t b = picture_.batches[c];
    const smc::BatchRecord& record = trace_.batches[b];
    std::string out = "{\"batch\":" + std::to_string(record.batch) + ",\"x\":" + coordinate(picture_.x(c));
    out += b > 0 || record.batch == 0 ? ",\"known\":true" : ",\"known\":false";  // what this batch changed
    out += list(c, "id", [](const Node& node) { return std::to_string(node.particle); });
    out += list(c, "y", [](const Node& node) { return coordinate(node.y); });
    if (c > 0) out += list(c, "parent", [](const Node& node) { return std::to_string(node.parent); });
    out += list(c, "rank", [&](const Node& node) { return std::to_string(record.rank[node.particle]); });
    out +=
        list(c, "done", [&](const Node& node) { return std::string(record.finished[node.particle] != 0 ? "1" : "0"); });
    out += list(c, "weight", [&](const Node& node) { return json_number(record.log_weight[node.particle], 6); });
    out += list(c, "change", [&](const Node& node) { return json_number(change(b, node.particle), 4); });
    out += list(c, "share", [](const Node& node) { return json_number(node.share, 4); });
    out += list(c, "phi", [&](const Node& node) { return potentials(b, node.particle, false); });
    out += list(c, "dphi", [&](const Node& node) { return potentials(b, node.particle, true); });
    return out + pieces(c) + "}";
  }

  /// What batch @p b added to the log-weight of particle @p i.
  [[nodiscard]] double change(std::size_t b, std::uint32_t i) const {
    const double weight = trace_.batches[b].log_weight[i];
    if (b == 0) return weight;
    const smc::BatchRecord& before = trace_.batches[b - 1];
    return weight - (before.resampled ? before.log_z : before.log_weight[i]);
  }

  [[nodiscard]] std::string potentials(std::size_t b, std::uint32_t i, bool differences) const {
    const auto n = static_cast<std::size_t>(trace_.info.particles);
    std::string out = "[";
    for (std::size_t k = 0; k < trace_.info.potentials.size(); ++k) {
      double value = trace_.batches[b].potential[k * n + i];
      if (differences && b > 0) value -= trace_.batches[b - 1].potential[k * n + parent(trace_, b, i)];
      out += (k == 0 ? "" : ",") + json_number(value, 4);
    }
    return out + "]";
  }

  /// The text that each node adds to its parent in the previous column. The first bytes of a character go with its
  /// last.
  std::string pieces(std::size_t c) {
    std::vector<std::string> tails;
    std::string out = list(c, "text", [&](const Node& node) {
      std::string text = c == 0 ? "" : tails_[node.parent];
      text += text_between(c, node.particle);
      const std::size_t cut = trace_.token_bytes.empty() ? 0 : incomplete_tail(text);
      tails.push_back(text.substr(text.size() - cut));
      return script_string(shortened(std::string_view(text).substr(0, text.size() - cut), piece_limit_));
    });
    tails_ = std::move(tails);
    return out;
  }

  /// What particle @p i of column @p c added since the previous column, or since the trace begins.
  [[nodiscard]] std::string text_between(std::size_t c, std::uint32_t i) const {
    const std::size_t first = c == 0 ? 0 : picture_.batches[c - 1] + 1;
    std::string text;
    for (std::size_t b = picture_.batches[c];; --b) {
      text.insert(0, batch_text(trace_, b, i));
      if (b == first) return text;
      i = parent(trace_, b, i);
    }
  }

  const Trace& trace_;
  const Picture& picture_;
  std::size_t piece_limit_ = 0;
  std::vector<std::string> tails_;  ///< of the previous column
};

// ---------------------------------------------------------------------------------------------- the figure

std::string caption(const Trace& trace, const Picture& picture) {
  const std::string founding = std::to_string(trace.batches[picture.batches[picture.grouped_at]].batch);
  std::string html = picture.sampled
                         ? "The heaviest lineages of " + grouped(trace.info.particles) + " particles, with " +
                               percent(picture.drawn_weight) +
                               (picture.extinct() ? " of the particles" : " of the weight") + " between them: up to " +
                               std::to_string(most_members) +
                               " particles of each. A lineage descends from one particle of batch " + founding + "."
                         : "All particles: a row is a particle’s number, a column a batch, a line leads to "
                           "the ancestor.";
  if (picture.batches.size() < trace.batches.size())
    html += " " + std::to_string(picture.batches.size()) + " of " + grouped(static_cast<double>(trace.batches.size())) +
            " batches are shown.";
  return html;
}

std::string rank_legend(const Trace& trace) {
  std::string html = "<span class=\"legend of-rank\">";
  const int ranks = std::max(trace.info.ranks, 1);
  for (int r = 0; r < std::min(ranks, colours); ++r)
    html += "<span class=\"item\"><span class=\"key dot r" + std::to_string(r) + "\"></span>rank " + std::to_string(r) +
            "</span>";
  return html + (ranks > colours ? "<span class=\"item\">and so on, in turn</span>" : "") + "</span>";
}

std::string lineage_legend(const Trace& trace, const Picture& picture) {
  std::string html = "<span class=\"legend of-lineage\"><span class=\"item\">from particle, at batch " +
                     std::to_string(trace.batches[picture.batches[picture.grouped_at]].batch) + ":</span>";
  int colour = 0;
  for (const std::uint32_t founder : heaviest_founders(picture))
    html += "<span class=\"item\"><span class=\"key dot l" + std::to_string(colour++) + "\"></span>" +
            std::to_string(founder) + (picture.extinct() ? "" : " (" + percent(picture.family_weight[founder]) + ")") +
            "</span>";
  const bool others = std::ranges::any_of(picture.columns.back(),
                                          [](const Node& node) { return node.lineage == other && node.survives; });
  return html + (others ? "<span class=\"item\"><span class=\"key dot lo\"></span>others</span>" : "") + "</span>";
}

std::string controls() {
  return "<div class=\"controls\" role=\"radiogroup\" aria-label=\"Colour by\"><span>Colour by</span>"
         "<label><input type=\"radio\" name=\"colour\" value=\"lineage\" checked> lineage</label>"
         "<label><input type=\"radio\" name=\"colour\" value=\"rank\"> rank</label></div>";
}

std::string figure(const Trace& trace, const Picture& picture) {
  return "<figure id=\"genealogy\" class=\"by-lineage\"><figcaption>" + caption(trace, picture) + "</figcaption>" +
         controls() + "<div class=\"scroll\" tabindex=\"-1\">" + Drawing(trace, picture).svg() +
         "</div><p class=\"note legends\">" + lineage_legend(trace, picture) + rank_legend(trace) +
         (picture.extinct()
              ? ""
              : "<span class=\"item\"><span class=\"key answer-line\"></span>lineage of the answer</span>") +
         "<span class=\"item\"><span class=\"key dead\"></span>no descendants at the end</span>"
         "<span class=\"item\"><span class=\"key ring\"></span>finished</span>"
         "<span class=\"item\"><span class=\"key stripe\"></span>resampled</span>"
         "<span class=\"item\">size: share of the weight; dashed: changed rank</span></p>"
         "<p id=\"tree-help\" class=\"note\">Point at a particle, or focus the picture and walk with the arrow keys: "
         "← ancestor, → descendant, ↑ ↓ neighbours. Enter or a click holds it, Escape goes back to the answer.</p>"
         "<div id=\"details\" aria-live=\"polite\"><noscript><p class=\"note\">The particles’ texts and weights are "
         "shown here by JavaScript.</p></noscript></div></figure>\n";
}

}  // namespace

GenealogyParts genealogy_parts(const Trace& trace, const std::vector<std::size_t>& survivors, const std::string& best) {
  if (trace.batches.empty() || !trace.info.lists_particles) return {"", "null"};
  const Picture picture = make_picture(trace, survivors, best);
  return {figure(trace, picture), Details(trace, picture).json()};
}

}  // namespace shoal::trace
