#include "text/added_tokens.hpp"

#include <algorithm>

#include "text/unicode.hpp"

namespace shoal::text {
namespace {

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  return !ends_with_word(text.substr(0, begin)) && !begins_with_word(text.substr(end));
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.content.size() > b.content.size(); });
  for (const AddedToken& token : tokens_) first_bytes_ += token.content[0];
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text) const {
  if (first_bytes_.find(text[0]) == std::string::npos) return nullptr;
  const auto found = std::find_if(tokens_.begin(), tokens_.end(),
                                  [&](const AddedToken& token) { return text.starts_with(token.content); });
  return found == tokens_.end() ? nullptr : &*found;
}

std::vector<Segment> AddedTokenFinder::split(std::string_view text) const {
  std::vector<Segment> segments;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* token = longest_at(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + token->content.size();
    at = end;
    if (token->single_word && !stands_alone(text, begin, end)) continue;
    if (token->lstrip) begin = std::max(done, begin - space_at_end(text.substr(0, begin)));
    if (token->rstrip) end += space_at_begin(text.substr(end));
    begin = std::max(begin, done);
    if (begin > done) segments.push_back({std::nullopt, std::string(text.substr(done, begin - done))});
    segments.push_back({token->id, {}});
    done = end;
  }
  if (done < text.size()) segments.push_back({std::nullopt, std::string(text.substr(done))});
  return segments;
}

}  // namespace shoal::text
