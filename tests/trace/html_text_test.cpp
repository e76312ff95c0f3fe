// Texts and numbers on the page.
#include "trace/html_text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace shoal::trace {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(HtmlText, MarkupIsEscaped) {
  EXPECT_EQ(escaped("<b a='1'>&\"</b>"), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;&lt;/b&gt;");
}

TEST(HtmlText, ControlCharactersAreSeen) {
  EXPECT_EQ(escaped(std::string("a\0b\x1b\n\t\x7f", 7)), "a\u2400b\u241b\n\t\u2421");
}

TEST(HtmlText, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(escaped("a\xff\xc3"), "a\ufffd\ufffd");
  EXPECT_EQ(script_string("\xc3\xa4\xff"), "\"ä\ufffd\"");
}

TEST(HtmlText, ScriptStringsCannotEndTheScript) {
  EXPECT_EQ(script_string("</script><!--"), "\"\\u003c/script>\\u003c!--\"");
}

TEST(HtmlText, IsCutBetweenCharacters) {
  EXPECT_EQ(shortened("aä", 3), "aä");
  EXPECT_EQ(shortened("aäb", 2), "a\u2026");
  EXPECT_EQ(shortened("a\U0001F600b", 4), "a\u2026");
}

TEST(HtmlText, IncompleteCharactersAreFound) {
  EXPECT_EQ(incomplete_tail("a"), 0U);
  EXPECT_EQ(incomplete_tail("a\xc3"), 1U);
  EXPECT_EQ(incomplete_tail("a\xf0\x9f\x98"), 3U);
  EXPECT_EQ(incomplete_tail("\U0001F600"), 0U);
  EXPECT_EQ(incomplete_tail("\x80\x80\x80\x80"), 0U);
}

TEST(HtmlNumbers, ReadWell) {
  EXPECT_EQ(fixed(-1.5, 2), "\u22121.50");
  EXPECT_EQ(fixed(-infinity, 2), "\u2212\u221e");
  EXPECT_EQ(significant(0.012345, 2), "0.012");
  EXPECT_EQ(significant(123.456, 3), "123");
  EXPECT_EQ(significant(0, 3), "0");
  EXPECT_EQ(significant(1e-9, 2), "1e\u221209");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-1234), "\u22121,234");
  EXPECT_EQ(grouped(12), "12");
  EXPECT_EQ(percent(0.1234), "12.3\u202f%");
  EXPECT_EQ(percent(1.0), "100\u202f%");
  EXPECT_EQ(percent(1e-6), "<\u202f0.01\u202f%");
  EXPECT_EQ(seconds_text(0.0125), "12.5\u202fms");
  EXPECT_EQ(bytes_text(1.5e6), "1.5\u202fMB");
}

TEST(HtmlNumbers, AreJsonForMachines) {
  EXPECT_EQ(json_number(-infinity), "null");
  EXPECT_EQ(json_number(0.25), "0.25");
  EXPECT_EQ(coordinate(12.04), "12");
  EXPECT_EQ(coordinate(-0.01), "0");
}

}  // namespace
}  // namespace shoal::trace
