#include "lm/tabular_language.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "lm/json_file.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

using nlohmann::json;
using Row = std::vector<double>;

/// Rows by the tokens before; the row of the longest suffix counts.
struct MarkovTable {
  std::map<std::vector<TokenId>, Row> rows;
  std::size_t order = 0;

  [[nodiscard]] Row next(std::span<const TokenId> before) const {
    for (std::size_t length = std::min(order, before.size());; --length) {
      const auto suffix = before.last(length);
      const auto found = rows.find({suffix.begin(), suffix.end()});
      if (found != rows.end()) return found->second;
      if (length == 0) return {};  // unreachable: the empty name has a row
    }
  }
};

/// The forward algorithm (Rabiner 1989), normalised at every step.
struct HiddenMarkovTable {
  Row initial;
  std::vector<Row> transition, emission;

  [[nodiscard]] Row next(std::span<const TokenId> before) const {
    Row belief = initial;
    for (const TokenId token : before) belief = after(belief, static_cast<std::size_t>(token.value()));
    return mix(belief, emission);
  }

 private:
  static Row mix(const Row& weights, const std::vector<Row>& rows) {
    Row sum(rows.front().size(), 0.0);
    for (std::size_t k = 0; k < rows.size(); ++k)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weights[k] * rows[k][i];
    return sum;
  }
  [[nodiscard]] Row after(Row belief, std::size_t token) const {
    for (std::size_t k = 0; k < belief.size(); ++k) belief[k] *= emission[k][token];
    const double total = std::accumulate(belief.begin(), belief.end(), 0.0);
    if (total > 0.0)
      for (double& b : belief) b /= total;
    return mix(belief, transition);
  }
};

class LanguageReader {
 public:
  explicit LanguageReader(const std::filesystem::path& file) : file_(file), json_(read_json_file(file)) {
    if (!json_.is_object()) fail("it is not a JSON object");
  }

  TabularLanguage read() {
    TabularLanguage language;
    language.tokens = tokens_ = read_tokens();
    for (std::size_t i = 0; i < tokens_.size(); ++i) ids_[tokens_[i]] = TokenId{static_cast<std::int32_t>(i)};
    language.end = read_end();
    if (json_.contains("table"))
      language.next = [table = read_markov()](std::span<const TokenId> before) { return table.next(before); };
    else if (json_.contains("emission"))
      language.next = [table = read_hidden_markov()](std::span<const TokenId> before) { return table.next(before); };
    else
      fail("it has neither 'table' (a Markov language) nor 'emission' (a hidden Markov language)");
    return language;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw ModelError("cannot use tabular model " + file_.string() + " (" + why + ") correct the file");
  }

  [[nodiscard]] std::vector<std::string> read_tokens() const {
    const auto list = json_.find("tokens");
    if (list == json_.end() || !list->is_array() || list->empty()) fail("'tokens' is not a list of texts");
    std::vector<std::string> tokens;
    for (const json& token : *list) {
      if (!token.is_string() || token.get_ref<const std::string&>().empty())
        fail("entry " + std::to_string(tokens.size()) + " of 'tokens' is not a text of at least one byte");
      if (std::find(tokens.begin(), tokens.end(), token.get<std::string>()) != tokens.end())
        fail("'tokens' has '" + token.get<std::string>() + "' twice");
      tokens.push_back(token.get<std::string>());
    }
    return tokens;
  }

  [[nodiscard]] TokenId id_of(const json& token, const std::string& where) const {
    const auto found = token.is_string() ? ids_.find(token.get<std::string>()) : ids_.end();
    if (found == ids_.end()) fail(where + " names " + token.dump() + ", which is not one of 'tokens'");
    return found->second;
  }

  [[nodiscard]] std::vector<TokenId> read_end() const {
    const auto end = json_.find("end");
    if (end == json_.end()) fail("it has no 'end'");
    std::vector<TokenId> ids;
    for (const json& token : end->is_array() ? *end : json::array({*end})) ids.push_back(id_of(token, "'end'"));
    if (ids.empty()) fail("'end' is empty");
    return ids;
  }

  void check_row(const Row& row, const std::string& name) const {
    if (std::any_of(row.begin(), row.end(), [](double p) { return !(p >= 0.0); }))
      fail(name + " has a negative probability");
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    if (std::abs(sum - 1.0) > 1e-6) fail(name + " sums to " + std::to_string(sum) + ", not 1");
  }

  [[nodiscard]] Row read_named_row(const json& entries, const std::string& name) const {
    if (!entries.is_object()) fail(name + " is not an object of token: probability");
    Row row(tokens_.size(), 0.0);
    for (const auto& [token, probability] : entries.items()) {
      if (!probability.is_number()) fail(name + " has no number for '" + token + "'");
      row[static_cast<std::size_t>(id_of(token, name).value())] = probability.get<double>();
    }
    check_row(row, name);
    return row;
  }

  [[nodiscard]] std::vector<TokenId> read_row_name(const std::string& name, const std::string& separator) const {
    std::vector<TokenId> before;
    for (std::size_t begin = 0; !name.empty() && begin != std::string::npos;) {
      const std::size_t end = name.find(separator, begin);
      before.push_back(id_of(name.substr(begin, end - begin), "row '" + name + "' of 'table'"));
      begin = end == std::string::npos ? end : end + separator.size();
    }
    return before;
  }

  [[nodiscard]] MarkovTable read_markov() const {
    const json& rows = json_.at("table");
    if (!rows.is_object() || !rows.contains("")) fail("'table' has no row '' for the start of a text");
    const json separator = json_.value("separator", json(" "));
    if (!separator.is_string() || separator.get<std::string>().empty()) fail("'separator' is not a text");
    MarkovTable table;
    for (const auto& [name, entries] : rows.items()) {
      const std::vector<TokenId> before = read_row_name(name, separator);
      table.order = std::max(table.order, before.size());
      table.rows[before] = read_named_row(entries, "row '" + name + "' of 'table'");
    }
    if (json_.contains("order") && json_.at("order") != table.order)
      fail("'order' is " + json_.at("order").dump() + ", but the longest row name has " + std::to_string(table.order) +
           " tokens");
    return table;
  }

  [[nodiscard]] Row read_list(const json& entries, std::size_t size, const std::string& name) const {
    if (!entries.is_array() || entries.size() != size ||
        !std::all_of(entries.begin(), entries.end(), [](const json& p) { return p.is_number(); }))
      fail(name + " is not a list of " + std::to_string(size) + " numbers");
    const Row row = entries.get<Row>();
    check_row(row, name);
    return row;
  }

  [[nodiscard]] std::vector<Row> read_matrix(const char* key, std::size_t rows, std::size_t columns) const {
    const json matrix = json_.value(key, json());
    if (!matrix.is_array() || matrix.size() != rows)
      fail(std::string("'") + key + "' does not have " + std::to_string(rows) + " rows");
    std::vector<Row> out;
    for (const json& row : matrix)
      out.push_back(read_list(row, columns, "row " + std::to_string(out.size()) + " of '" + key + "'"));
    return out;
  }

  [[nodiscard]] HiddenMarkovTable read_hidden_markov() const {
    const json initial = json_.value("initial", json());
    if (!initial.is_array() || initial.empty()) fail("'initial' is not a list of numbers");
    const std::size_t states = initial.size();
    return {read_list(initial, states, "'initial'"), read_matrix("transition", states, states),
            read_matrix("emission", states, tokens_.size())};
  }

  std::filesystem::path file_;
  json json_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, TokenId> ids_;
};

}  // namespace

TabularLanguage load_tabular_language(const std::filesystem::path& file) { return LanguageReader(file).read(); }

}  // namespace shoal::lm
