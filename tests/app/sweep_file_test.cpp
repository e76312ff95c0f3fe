// The job file of a sweep: sections, lists and their product; quartiles of the results.
#include "app/sweep_file.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "app/sweep_table.hpp"
#include "shoal/error.hpp"

namespace shoal::app {
namespace {

using Values = std::vector<std::string>;

std::string text_of(const SweepCell& cell) {
  std::string text;
  for (const auto& [word, name] : cell.labels) text += word + ":" + name + " ";
  for (const auto& [name, value] : cell.options) text += name + "=" + value + " ";
  return text;
}

std::vector<std::string> cells_of(const std::string& file) {
  std::vector<std::string> texts;
  for (const SweepCell& cell : parse_sweep_file(file, "job.cfg").cells) texts.push_back(text_of(cell));
  return texts;
}

TEST(ValueList, SplitsAtCommas) {
  EXPECT_EQ(parse_value_list("50, 100"), (Values{"50", "100"}));
  EXPECT_EQ(parse_value_list(" one value "), (Values{"one value"}));
  EXPECT_EQ(parse_value_list(""), (Values{""}));
  EXPECT_EQ(parse_value_list(R"("Cats, please.", "say ""yes""",x)"), (Values{"Cats, please.", "say \"yes\"", "x"}));
}

TEST(ValueList, CountsRanges) {
  EXPECT_EQ(parse_value_list("3..6"), (Values{"3", "4", "5", "6"}));
  EXPECT_EQ(parse_value_list("7..7, 1..2"), (Values{"7", "1", "2"}));
  EXPECT_EQ(parse_value_list("18446744073709551614..18446744073709551615").size(), 2U);
  EXPECT_EQ(parse_value_list("a..b, .."), (Values{"a..b", ".."}));
}

TEST(ValueList, RefusesWhatCannotBeMeant) {
  for (const char* bad : {"1,,2", "1,", "\"open", "\"a\" b", "5..3", "0..18446744073709551615"})
    EXPECT_THROW((void)parse_value_list(bad), UsageError) << bad;
}

TEST(SweepFile, WithoutSectionsIsOneCell) {
  EXPECT_EQ(cells_of("# a comment\nprompt = a, b\n\nregex = x # and another\n regex=y\n"),
            (Values{"prompt=a, b regex=x regex=y "}));
}

TEST(SweepFile, CrossesTheGrid) {
  EXPECT_EQ(cells_of("[grid]\na = 1,2\nb = x,y\n"), (Values{"a=1 b=x ", "a=1 b=y ", "a=2 b=x ", "a=2 b=y "}));
}

TEST(SweepFile, CrossesSectionsOfDifferentWords) {
  EXPECT_EQ(
      cells_of("a = 0\n[case one]\na = 1\n[task s]\n[case two]\nc=3,4\n[task t]\nd = 5\n[grid]\ne = 6"),
      (Values{"case:one task:s a=1 e=6 ", "case:one task:t a=1 d=5 e=6 ", "case:two task:s a=0 c=3 e=6 ",
              "case:two task:t a=0 c=3 d=5 e=6 ", "case:two task:s a=0 c=4 e=6 ", "case:two task:t a=0 c=4 d=5 e=6 "}));
}

TEST(SweepFile, NamesWhatVaries) {
  const SweepGrid grid = parse_sweep_file("a=1\n[case x]\nb=1,2\n[case y]\nb=3\nc=1\n[grid]\nseed = 1..2\n", "job.cfg");

  EXPECT_EQ(grid.words, (Values{"case"}));
  EXPECT_EQ(grid.varied, (Values{"b", "seed"}));
}

struct BadFile {
  const char* text;
  const char* message;
};

TEST(SweepFile, NamesTheLineOfAMistake) {
  for (const auto& [text, message] :
       {BadFile{"a = 1\nnonsense\n", "line 2"}, BadFile{"[grid\na = 1", "no ']'"},
        BadFile{"[case]\n", "neither [grid] nor"}, BadFile{"[grid x]\n", "neither"},
        BadFile{"[grid]\na=1\na=2\n", "line 3: option 'a' is there twice"},
        BadFile{"[grid]\na=1,,2\n", "line 2: option 'a'"},
        BadFile{"[case x]\n[case x]\n", "section [case x] is there twice"},
        BadFile{"[grid]\na=1\n[case x]\na=2\n", "set by [grid] and [case x]"}, BadFile{"[grid]\n= 3\n", "line 2"}}) {
    try {
      (void)parse_sweep_file(text, "job.cfg");
      ADD_FAILURE() << "accepted: " << text;
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find("job.cfg"), std::string::npos) << e.what();
    }
  }
}

TEST(Quartiles, AreThoseOfNumPy) {
  const Quartiles q = quartiles({7.0, 1.0, NAN, 3.0, 10.0});

  EXPECT_EQ(q.count, 4U);
  EXPECT_DOUBLE_EQ(q.low, 2.5);
  EXPECT_DOUBLE_EQ(q.median, 5.0);
  EXPECT_DOUBLE_EQ(q.high, 7.75);
  EXPECT_EQ(quartiles({NAN}).count, 0U);
  EXPECT_DOUBLE_EQ(quartiles({4.0}).high, 4.0);
}

}  // namespace
}  // namespace shoal::app
