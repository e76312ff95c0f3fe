#include "text/onig_syntax.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "shoal/error.hpp"

namespace shoal::text {
namespace {

struct Addition {
  std::string_view category;
  std::string_view characters;
};

/// What Unicode 15 and 16 (Hugging Face's tables) added to the categories of Unicode 14 (PCRE2 10.42).
constexpr std::array additions = std::to_array<Addition>({
    {"Lu", R"(\x{1C89}\x{A7CB}-\x{A7CC}\x{A7DA}\x{A7DC}\x{10D50}-\x{10D65})"},
    {"Ll", R"(\x{1C8A}\x{A7CD}\x{A7DB}\x{10D70}-\x{10D85}\x{1DF25}-\x{1DF2A})"},
    {"Lm", R"(\x{10D4E}\x{10D6F}\x{16D40}-\x{16D42}\x{16D6B}-\x{16D6C}\x{1E030}-\x{1E06D}\x{1E4EB})"},
    {"Lo", R"(\x{105C0}-\x{105F3}\x{10D4A}-\x{10D4D}\x{10D4F}\x{10EC2}-\x{10EC4}\x{1123F}-\x{11240})"
           R"(\x{11380}-\x{11389}\x{1138B}\x{1138E}\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3})"
           R"(\x{11BC0}-\x{11BE0}\x{11F02}\x{11F04}-\x{11F10}\x{11F12}-\x{11F33}\x{1342F}\x{13441}-\x{13446})"
           R"(\x{13460}-\x{143FA}\x{16100}-\x{1611D}\x{16D43}-\x{16D6A}\x{18CFF}\x{1B132}\x{1B155})"
           R"(\x{1E4D0}-\x{1E4EA}\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})"},
    {"Mn", R"(\x{897}\x{ECE}\x{10D69}-\x{10D6D}\x{10EFC}-\x{10EFF}\x{11241}\x{113BB}-\x{113C0}\x{113CE})"
           R"(\x{113D0}\x{113D2}\x{113E1}-\x{113E2}\x{11F00}-\x{11F01}\x{11F36}-\x{11F3A}\x{11F40}\x{11F42})"
           R"(\x{11F5A}\x{13440}\x{13447}-\x{13455}\x{1611E}-\x{16129}\x{1612D}-\x{1612F}\x{1E08F})"
           R"(\x{1E4EC}-\x{1E4EF}\x{1E5EE}-\x{1E5EF})"},
    {"Mc", R"(\x{CF3}\x{113B8}-\x{113BA}\x{113C2}\x{113C5}\x{113C7}-\x{113CA}\x{113CC}-\x{113CD}\x{113CF})"
           R"(\x{1171E}\x{11F03}\x{11F34}-\x{11F35}\x{11F3E}-\x{11F3F}\x{11F41}\x{1612A}-\x{1612C})"},
    {"Nd", R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59}\x{16130}-\x{16139})"
           R"(\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})"},
    {"No", R"(\x{1D2C0}-\x{1D2D3})"},
    {"Pd", R"(\x{10D6E})"},
    {"Po", R"(\x{1B4E}-\x{1B4F}\x{1B7F}\x{113D4}-\x{113D5}\x{113D7}-\x{113D8}\x{11B00}-\x{11B09}\x{11BE1})"
           R"(\x{11F43}-\x{11F4F}\x{16D6D}-\x{16D6F}\x{1E5FF})"},
    {"Sm", R"(\x{10D8E}-\x{10D8F})"},
    {"So", R"(\x{2427}-\x{2429}\x{2FFC}-\x{2FFF}\x{31E4}-\x{31E5}\x{31EF}\x{1CC00}-\x{1CCEF})"
           R"(\x{1CD00}-\x{1CEB3}\x{1F6DC}\x{1F774}-\x{1F776}\x{1F77B}-\x{1F77F}\x{1F7D9}\x{1F8B2}-\x{1F8BB})"
           R"(\x{1F8C0}-\x{1F8C1}\x{1FA75}-\x{1FA77}\x{1FA87}-\x{1FA89}\x{1FA8F}\x{1FAAD}-\x{1FAAF})"
           R"(\x{1FABB}-\x{1FABF}\x{1FAC6}\x{1FACE}-\x{1FACF}\x{1FADA}-\x{1FADC}\x{1FADF}\x{1FAE8}-\x{1FAE9})"
           R"(\x{1FAF7}-\x{1FAF8}\x{1FBCB}-\x{1FBEF})"},
});

/// A general category such as Lu, or a whole class of them such as L, as the content of a character class.
std::string category(std::string_view name) {
  std::string content = "\\p{" + std::string(name) + "}";
  for (const Addition& addition : additions)
    if (addition.category.starts_with(name)) content += addition.characters;
  return content;
}

constexpr std::string_view white_space =
    R"(\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view no_white_space =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
/// Letters and superscripts that Oniguruma counts as word characters beside the categories.
constexpr std::string_view further_word_characters =
    R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

/// Content of a character class for \s, \w, \d.
std::string shorthand(char letter) {
  if (letter == 's') return std::string(white_space);
  if (letter == 'd') return category("Nd");
  std::string word(further_word_characters);
  for (const char* name : {"L", "M", "Nd", "Nl", "Pc"}) word += category(name);
  return word;
}

class Rewriter {
 public:
  explicit Rewriter(std::string_view source) : source_(source), rest_(source) {}

  std::string run() {
    while (!rest_.empty()) {
      if (rest_[0] == '\\')
        escape();
      else if (in_class_)
        inside_class();
      else
        outside_class();
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& construct) const {
    throw ModelError("'" + construct + "' in the split pattern '" + std::string(source_) + "' is not supported");
  }
  void take(std::size_t count) {
    out_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }

  void outside_class() {
    for (const char* construct : {"(*", "(?m", "(?s", "(?R", "(?0", "(?&", "(?C"})
      if (rest_.starts_with(construct)) refuse(construct);
    if (rest_[0] != '[') return take(1);
    in_class_ = true;
    take(1);
    if (rest_.starts_with('^')) take(1);
    if (rest_.starts_with(']')) refuse("[]");
  }

  /// Oniguruma nests classes, intersects them with && and has more in [:alpha:] than PCRE2.
  void inside_class() {
    if (rest_.starts_with("&&")) refuse("&&");
    if (rest_[0] == '[') refuse("[ inside a class");
    in_class_ = rest_[0] != ']';
    take(1);
  }

  void escape() {
    if (rest_.size() < 2) return take(1);
    const char letter = rest_[1];
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    if (lower == 'p') return property(letter == 'P');
    if (lower == 's' || lower == 'w' || lower == 'd') {
      rest_.remove_prefix(2);
      if (letter == 'S' && in_class_) return put(std::string(no_white_space), false, {});
      return put(shorthand(lower), letter != lower, std::string{'\\', letter});
    }
    if (std::string_view("hHCQEgkNOyYRX").find(letter) != std::string_view::npos) refuse({'\\', letter});
    take(2);
  }

  void property(bool negated) {
    const std::size_t end = rest_.find('}');
    if (!rest_.substr(2).starts_with('{') || end == std::string_view::npos) refuse("\\p without {}");
    const std::string_view whole = rest_.substr(0, end + 1);
    std::string_view name = whole.substr(3, end - 3);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const bool is_category = std::any_of(additions.begin(), additions.end(),
                                         [&](const Addition& a) { return a.category.starts_with(name); });
    if (!is_category || name.empty()) return take(whole.size());
    rest_.remove_prefix(whole.size());
    put(category(name), negated, std::string(whole));
  }

  void put(const std::string& class_content, bool negated, const std::string& as_written) {
    if (!in_class_)
      out_.append(negated ? "[^" : "[").append(class_content).append("]");
    else if (negated)
      refuse(as_written + " inside a class");
    else
      out_ += class_content;
  }

  std::string_view source_;
  std::string_view rest_;
  std::string out_;
  bool in_class_ = false;
};

}  // namespace

std::string pcre2_syntax_of(std::string_view onig) { return Rewriter(onig).run(); }

}  // namespace shoal::text
