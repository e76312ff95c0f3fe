#include "text/bpe.hpp"

#include <queue>

#include "shoal/error.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

struct Symbol {
  TokenId id;
  int previous;
  int next;  ///< -1 at the end
  bool gone = false;
};

struct Candidate {
  std::uint32_t rank;
  int left;
  TokenId left_id, right_id;  ///< as they were when the candidate was found
  TokenId result;
  bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
};

using Queue = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>>;

void join(std::vector<Symbol>* symbols, int left, TokenId result) {
  Symbol& kept = (*symbols)[static_cast<std::size_t>(left)];
  Symbol& dropped = (*symbols)[static_cast<std::size_t>(kept.next)];
  kept.id = result;
  kept.next = dropped.next;
  dropped.gone = true;
  if (kept.next >= 0) (*symbols)[static_cast<std::size_t>(kept.next)].previous = left;
}

}  // namespace

Bpe::Bpe(std::unordered_map<std::string, TokenId> vocabulary, const Merges& merges, WholeWords whole_words)
    : vocabulary_(std::move(vocabulary)), whole_words_(whole_words) {
  merges_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const Merge merge{static_cast<std::uint32_t>(rank), id_of_part(left + right)};
    merges_.insert_or_assign(pair_key(id_of_part(left), id_of_part(right)), merge);
  }
}

TokenId Bpe::id_of_part(const std::string& part) const {
  const auto found = vocabulary_.find(part);
  if (found == vocabulary_.end())
    throw ModelError("cannot load the tokenizer (a merge names the piece '" + part +
                     "', which is not in the vocabulary) check tokenizer.json");
  return found->second;
}

std::vector<TokenId> Bpe::encode(std::string_view word) const {
  if (whole_words_ == WholeWords::look_up) {
    const auto whole = vocabulary_.find(std::string(word));
    if (whole != vocabulary_.end()) return {whole->second};
  }
  std::vector<Symbol> symbols;
  for (const std::string& character : characters(word)) {
    const auto found = vocabulary_.find(character);
    if (found == vocabulary_.end()) continue;
    const int at = static_cast<int>(symbols.size());
    symbols.push_back({found->second, at - 1, at + 1});
  }
  if (symbols.empty()) return {};
  symbols.back().next = -1;

  Queue queue;
  const auto consider = [&](int left) {
    if (left < 0) return;
    const Symbol& a = symbols[static_cast<std::size_t>(left)];
    if (a.next < 0) return;
    const TokenId right = symbols[static_cast<std::size_t>(a.next)].id;
    const auto merge = merges_.find(pair_key(a.id, right));
    if (merge != merges_.end()) queue.push({merge->second.rank, left, a.id, right, merge->second.result});
  };
  for (int i = 0; i < static_cast<int>(symbols.size()); ++i) consider(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const Symbol& left = symbols[static_cast<std::size_t>(best.left)];
    if (left.gone || left.id != best.left_id || left.next < 0) continue;
    if (symbols[static_cast<std::size_t>(left.next)].id != best.right_id) continue;
    join(&symbols, best.left, best.result);
    consider(best.left);
    consider(symbols[static_cast<std::size_t>(best.left)].previous);
  }
  std::vector<TokenId> ids;
  for (int i = 0; i >= 0; i = symbols[static_cast<std::size_t>(i)].next)
    ids.push_back(symbols[static_cast<std::size_t>(i)].id);
  return ids;
}

}  // namespace shoal::text
