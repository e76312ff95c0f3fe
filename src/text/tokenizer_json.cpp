#include "text/tokenizer_json.hpp"

#include <utility>
#include <vector>

#include "shoal/error.hpp"

namespace shoal::text {
namespace {

using nlohmann::json;

constexpr std::int64_t max_token_id = (1 << 20) - 1;
constexpr std::size_t max_nesting = 32;
constexpr std::size_t likely_tokens = std::size_t{1} << 18U;

std::pair<std::string, std::string> split_merge(const std::string& text) {
  const auto space = text.find(' ');
  if (space == std::string::npos) throw ModelError("merge '" + text + "' is not a pair");
  return {text.substr(0, space), text.substr(space + 1)};
}

/// Receives the parser's events; the names are the library's.
class Reader final : public nlohmann::json_sax<json> {
 public:
  explicit Reader(TokenizerJson* out) : out_(*out) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(std::int64_t value) override { return put(value); }
  bool number_unsigned(std::uint64_t value) override { return put(value); }
  bool number_float(double value, const std::string&) override { return put(value); }
  bool string(std::string& value) override {
    if (table_ != Table::merges) return put(std::move(value));
    merge_.push_back(std::move(value));
    if (!in_pair_) end_merge();
    return true;
  }
  bool binary(json::binary_t&) override { return false; }
  bool key(std::string& value) override {
    key_ = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    if (table_ != Table::none) refuse();
    if (is_table("vocab")) return start(Table::vocabulary);
    return descend(json::object());
  }
  bool end_object() override { return end(); }
  bool start_array(std::size_t) override {
    if (table_ == Table::merges && !in_pair_) return in_pair_ = true;
    if (table_ != Table::none) refuse();
    if (is_table("merges")) return start(Table::merges);
    return descend(json::array());
  }
  bool end_array() override {
    if (in_pair_) return end_merge();
    return end();
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    if (const auto* bad = dynamic_cast<const json::parse_error*>(&error)) throw json::parse_error(*bad);
    throw json::out_of_range(dynamic_cast<const json::out_of_range&>(error));
  }

 private:
  enum class Table { none, vocabulary, merges };

  [[nodiscard]] bool is_table(const char* name) const {
    return open_.size() == 2 && in_model_ && key_ == name && open_.back()->is_object();
  }
  bool start(Table table) {
    table_ = table;
    if (table == Table::vocabulary) out_.vocabulary.emplace(likely_tokens);
    if (table == Table::merges) out_.merges.emplace();
    return true;
  }
  bool end() {
    if (table_ != Table::none) {
      table_ = Table::none;
      return true;
    }
    open_.pop_back();
    return true;
  }

  template <class Value>
  bool put(Value&& value) {
    if (table_ == Table::vocabulary) {
      const TokenId id = token_id_of(std::forward<Value>(value), key_);
      out_.vocabulary->insert_or_assign(std::move(key_), id);
    } else if (table_ == Table::merges) {
      refuse();
    } else {
      add(std::forward<Value>(value));
    }
    return true;
  }
  json* add(json value) {
    if (open_.empty()) return &(out_.rest = std::move(value));
    json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool descend(json container) {
    if (open_.size() == max_nesting) throw ModelError("it is nested too deeply");
    if (open_.size() == 1) in_model_ = open_.back()->is_object() && key_ == "model";
    open_.push_back(add(std::move(container)));
    return true;
  }
  bool end_merge() {
    if (in_pair_ ? merge_.size() != 2 : merge_.size() != 1) refuse();
    out_.merges->push_back(in_pair_ ? std::pair(std::move(merge_[0]), std::move(merge_[1])) : split_merge(merge_[0]));
    merge_.clear();
    in_pair_ = false;
    return true;
  }
  [[noreturn]] void refuse() const {
    if (table_ == Table::vocabulary) throw ModelError("the id of '" + key_ + "' is not a token id");
    throw ModelError("merge " + std::to_string(out_.merges->size() + 1) + " is not a pair");
  }

  TokenizerJson& out_;
  std::vector<json*> open_;  ///< objects and arrays that have not ended, outside the tables
  std::string key_;
  bool in_model_ = false;  ///< the second of open_ is the member "model"
  Table table_ = Table::none;
  bool in_pair_ = false;
  std::vector<std::string> merge_;
};

}  // namespace

TokenId token_id_of(const json& id, const std::string& piece) {
  if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() > max_token_id)
    throw ModelError("the id of '" + piece + "' is not a token id");
  return TokenId{id.get<std::int32_t>()};
}

TokenizerJson read_tokenizer_json(std::string_view text) {
  TokenizerJson out;
  Reader reader(&out);
  json::sax_parse(text, &reader);
  return out;
}

}  // namespace shoal::text
