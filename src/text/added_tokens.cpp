#include "text/added_tokens.hpp"

#include <algorithm>

#include "text/pattern.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

std::size_t first_byte(const AddedToken& token) { return static_cast<unsigned char>(token.content[0]); }

/// \w of Rust's regular expressions: categories, joiners, and the letters in circles and squares.
bool is_word(std::string_view character) {
  static const Pattern word = Pattern::regex(R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9})"
                                             R"(\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}])");
  return !word.matches(character).empty();
}

bool stands_alone(std::string_view before, std::string_view after) {
  return (before.empty() || !is_word(last_character(before))) && (after.empty() || !is_word(first_character(after)));
}

Segment part_of(const Segment& whole, std::size_t begin, std::size_t end) {
  return {std::nullopt, whole.text.substr(begin, end - begin), whole.at_start && begin == 0};
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return first_byte(a) != first_byte(b) ? first_byte(a) < first_byte(b) : a.content.size() > b.content.size();
  });
  for (const AddedToken& token : tokens_) ++begin_[first_byte(token) + 1];
  for (std::size_t byte = 0; byte < 256; ++byte) begin_[byte + 1] += begin_[byte];
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text) const {
  const std::size_t byte = static_cast<unsigned char>(text[0]);
  for (std::size_t i = begin_[byte]; i < begin_[byte + 1]; ++i)
    if (text.starts_with(tokens_[i].content)) return &tokens_[i];
  return nullptr;
}

std::vector<Segment> AddedTokenFinder::split(const Segment& whole) const {
  const std::string_view text = whole.text;
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
    if (token->single_word && !stands_alone(text.substr(0, begin), text.substr(end))) continue;
    if (token->lstrip) begin = std::max(done, begin - space_at_end(text.substr(0, begin)));
    if (token->rstrip) end += space_at_begin(text.substr(end));
    if (begin > done) segments.push_back(part_of(whole, done, begin));
    segments.push_back({token->id, {}, false});
    done = end;
  }
  if (done < text.size()) segments.push_back(part_of(whole, done, text.size()));
  return segments;
}

}  // namespace shoal::text
