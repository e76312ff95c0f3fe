#include "text/pattern.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "text/unicode.hpp"

namespace shoal::text {
namespace {

TEST(Pattern, ClassesHoldTheSameNumberOfCharactersAsHuggingFaces) {
  std::string everything;
  for (char32_t c = 0; c < 0x110000; ++c)
    if (c < 0xD800 || c > 0xDFFF) append_utf8(c, &everything);
  std::ifstream in(SHOAL_TEST_DATA "/characters.json");
  const auto counts = nlohmann::json::parse(in);

  for (const auto& [pattern, count] : counts.items())
    EXPECT_EQ(Pattern::regex(pattern).matches(everything).size(), count.get<std::size_t>()) << pattern;
}

TEST(Pattern, AnEmptyMatchDoesNotTouchTheMatchBeforeIt) {
  const auto matches = Pattern::regex("b*").matches("abé");

  ASSERT_EQ(matches.size(), 3U);
  EXPECT_EQ(matches[0].end, 0U);
  EXPECT_EQ(matches[1].begin, 1U);
  EXPECT_EQ(matches[1].end, 2U);
  EXPECT_EQ(matches[2].begin, 4U);
}

}  // namespace
}  // namespace shoal::text
