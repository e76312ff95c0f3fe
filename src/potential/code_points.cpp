#include "potential/code_points.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>

namespace shoal {
namespace {

constexpr std::uint32_t last_code_point = 0x10ffff;
constexpr CodePointRange surrogates{0xd800, 0xdfff};

using CaseOrbits = std::map<std::uint32_t, std::vector<std::uint32_t>>;

/// The single code points that @p c changes into under case mapping.
std::vector<std::uint32_t> case_variants(std::uint32_t c) {
  const auto code_point = static_cast<utf8proc_int32_t>(c);
  std::vector<std::uint32_t> variants;
  for (const auto variant : {utf8proc_tolower(code_point), utf8proc_toupper(code_point), utf8proc_totitle(code_point)})
    variants.push_back(static_cast<std::uint32_t>(variant));
  std::array<utf8proc_int32_t, 8> folded{};
  int boundary = 0;
  if (utf8proc_decompose_char(code_point, folded.data(), folded.size(), UTF8PROC_CASEFOLD, &boundary) == 1)
    variants.push_back(static_cast<std::uint32_t>(folded[0]));
  return variants;
}

/// Code points that equal another one when case is ignored -> all of their class.
CaseOrbits make_case_orbits() {
  constexpr std::uint32_t end_of_cased = 0x1f000;
  const auto is_turkish_i = [](std::uint32_t c) { return c == 0x130 || c == 0x131; };
  std::vector<std::uint32_t> parent(end_of_cased);
  std::iota(parent.begin(), parent.end(), 0U);
  const auto root = [&parent](std::uint32_t c) {
    while (parent[c] != c) c = parent[c] = parent[parent[c]];
    return c;
  };
  for (std::uint32_t c = 0; c < end_of_cased; ++c) {
    if (is_turkish_i(c)) continue;
    for (const std::uint32_t variant : case_variants(c))
      if (variant < end_of_cased && !is_turkish_i(variant)) parent[root(c)] = root(variant);
  }
  CaseOrbits by_root;
  for (std::uint32_t c = 0; c < end_of_cased; ++c) by_root[root(c)].push_back(c);
  CaseOrbits orbits;
  for (const auto& [_, members] : by_root)
    if (members.size() > 1)
      for (const std::uint32_t c : members) orbits[c] = members;
  return orbits;
}

const CaseOrbits& case_orbits() {
  static const CaseOrbits orbits = make_case_orbits();
  return orbits;
}

bool is_surrogate(std::uint32_t c) { return c >= surrogates.first && c <= surrogates.last; }

using Categories = std::map<std::string, CodePointSet>;

/// All code points by their two-letter category.
Categories make_general_categories() {
  const auto category_of = [](std::uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); };
  Categories categories;
  std::uint32_t first = 0;
  for (std::uint32_t c = 1; c <= last_code_point + 1; ++c) {
    if (c <= last_code_point && category_of(c) == category_of(first)) continue;
    categories[utf8proc_category_string(static_cast<utf8proc_int32_t>(first))].add({first, c - 1});
    first = c;
  }
  return categories;
}

/// One category, or with one letter all that begin with it.
std::optional<CodePointSet> general_category(std::string_view name) {
  static const Categories categories = make_general_categories();
  bool known = false;
  CodePointSet set;
  for (const auto& [category, members] : categories) {
    if (!category.starts_with(name)) continue;
    known = true;
    set.add(members);
  }
  if (!known) return std::nullopt;
  return set;
}

std::string encode_utf8(std::uint32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  return {reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size)};
}

struct Pcre2Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

std::unique_ptr<pcre2_code, Pcre2Free> compile_property_run(const std::string& property) {
  const std::string pattern = "\\p{" + property + "}+";
  int error = 0;
  PCRE2_SIZE offset = 0;
  return std::unique_ptr<pcre2_code, Pcre2Free>(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error, &offset, nullptr));
}

std::string all_code_points() {
  std::string all;
  for (std::uint32_t c = 0; c <= last_code_point; ++c)
    if (!is_surrogate(c)) all += encode_utf8(c);
  return all;
}

/// PCRE2's Unicode tables know the scripts and properties: match runs of the property in the text of all code points.
std::optional<CodePointSet> find_property(const std::string& name) {
  const auto is_name_byte = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!std::all_of(name.begin(), name.end(), is_name_byte)) return std::nullopt;
  auto code = compile_property_run("sc:" + name);
  if (!code && (name.front() != 'X' || name.size() > 3)) code = compile_property_run(name);
  if (!code) return std::nullopt;

  const std::string all = all_code_points();
  const std::unique_ptr<pcre2_match_data, Pcre2Free> match(pcre2_match_data_create(1, nullptr));
  CodePointSet set;
  PCRE2_SIZE start = 0;
  while (pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(all.data()), all.size(), start, PCRE2_NO_UTF_CHECK,
                     match.get(), nullptr) > 0) {
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match.get());
    PCRE2_SIZE before_end = span[1] - 1;
    while ((static_cast<unsigned char>(all[before_end]) & 0xc0) == 0x80) --before_end;
    set.add({decode_utf8(std::string_view(all).substr(span[0]))->code_point,
             decode_utf8(std::string_view(all).substr(before_end))->code_point});
    start = span[1];
  }
  return set;
}

/// Finding a property takes tens of milliseconds: those found are remembered.
std::optional<CodePointSet> property(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, CodePointSet> found;
  const std::scoped_lock lock(mutex);
  if (const auto known = found.find(name); known != found.end()) return known->second;
  auto set = find_property(name);
  if (set) found.emplace(name, *set);
  return set;
}

std::uint32_t last_of_length(int bytes) {
  constexpr std::array<std::uint32_t, 4> last{0x7f, 0x7ff, 0xffff, last_code_point};
  return last[static_cast<std::size_t>(bytes - 1)];
}

/// Appends the sequences of a range whose code points may differ in length or in where their last bytes run full.
void append_sequences(CodePointRange range, std::vector<ByteSequence>* out) {
  for (int bytes = 1; bytes < 4; ++bytes) {
    const std::uint32_t last = last_of_length(bytes);
    if (range.first <= last && last < range.last) {
      append_sequences({range.first, last}, out);
      append_sequences({last + 1, range.last}, out);
      return;
    }
  }
  for (int bytes = 1; bytes < 4 && range.last > 0x7f; ++bytes) {
    const std::uint32_t tail = (std::uint32_t{1} << (6 * bytes)) - 1;
    if ((range.first & ~tail) == (range.last & ~tail)) break;
    std::uint32_t cut = 0;
    if ((range.first & tail) != 0) {
      cut = range.first | tail;
    } else if ((range.last & tail) != tail) {
      cut = (range.last & ~tail) - 1;
    } else {
      continue;
    }
    append_sequences({range.first, cut}, out);
    append_sequences({cut + 1, range.last}, out);
    return;
  }
  const std::string low = encode_utf8(range.first);
  const std::string high = encode_utf8(range.last);
  ByteSequence sequence{{}, static_cast<int>(low.size())};
  for (std::size_t i = 0; i < low.size(); ++i)
    sequence.ranges[i] = {static_cast<std::uint8_t>(low[i]), static_cast<std::uint8_t>(high[i])};
  out->push_back(sequence);
}

}  // namespace

CodePointSet::CodePointSet(std::initializer_list<CodePointRange> ranges) {
  for (const auto& range : ranges) add(range);
}

void CodePointSet::add(CodePointRange range) {
  if (range.first < surrogates.first)
    add_scalar({range.first, std::min<std::uint32_t>(range.last, surrogates.first - 1)});
  if (range.last > surrogates.last) add_scalar({std::max<std::uint32_t>(range.first, surrogates.last + 1), range.last});
}

void CodePointSet::add(const CodePointSet& other) {
  for (const auto& range : other.ranges_) add_scalar(range);
}

void CodePointSet::add_scalar(CodePointRange range) {
  const auto overlap_begin = std::lower_bound(ranges_.begin(), ranges_.end(), range.first,
                                              [](const CodePointRange& r, std::uint32_t c) { return r.last + 1 < c; });
  auto overlap_end = overlap_begin;
  while (overlap_end != ranges_.end() && overlap_end->first <= range.last + 1) {
    range.first = std::min(range.first, overlap_end->first);
    range.last = std::max(range.last, overlap_end->last);
    ++overlap_end;
  }
  ranges_.insert(ranges_.erase(overlap_begin, overlap_end), range);
}

CodePointSet CodePointSet::complement() const {
  CodePointSet result;
  std::uint32_t next = 0;
  for (const auto& range : ranges_) {
    if (range.first > next) result.add({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= last_code_point) result.add({next, last_code_point});
  return result;
}

CodePointSet CodePointSet::case_folded() const {
  const CaseOrbits& orbits = case_orbits();
  CodePointSet result = *this;
  for (const auto& range : ranges_) {
    for (auto it = orbits.lower_bound(range.first); it != orbits.end() && it->first <= range.last; ++it)
      for (const std::uint32_t c : it->second) result.add({c, c});
  }
  return result;
}

bool CodePointSet::contains(std::uint32_t code_point) const {
  const auto it = std::lower_bound(ranges_.begin(), ranges_.end(), code_point,
                                   [](const CodePointRange& r, std::uint32_t c) { return r.last < c; });
  return it != ranges_.end() && it->first <= code_point;
}

std::optional<CodePointSet> unicode_class(std::string_view name) {
  if (name == "Any") return CodePointSet{{0, last_code_point}};
  if (name.empty()) return std::nullopt;
  if (name.size() <= 2) return general_category(name);
  return property(std::string(name));
}

std::vector<ByteSequence> utf8_sequences(const CodePointSet& set) {
  std::vector<ByteSequence> sequences;
  for (const auto& range : set.ranges()) append_sequences(range, &sequences);
  return sequences;
}

std::optional<Decoded> decode_utf8(std::string_view text) {
  utf8proc_int32_t code_point = 0;
  const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                     static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  if (size <= 0) return std::nullopt;
  return Decoded{static_cast<std::uint32_t>(code_point), static_cast<int>(size)};
}

}  // namespace shoal
