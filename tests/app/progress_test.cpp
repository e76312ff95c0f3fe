// What a run shows while it goes on: on a (pseudo) terminal and elsewhere.
#include "app/progress.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

namespace shoal::app {
namespace {

const Vocabulary& vocabulary() {
  static const Vocabulary made({"Cats ", "purr", "dogs ", "bark", ""}, {TokenId{4}});
  return made;
}

/// Two particles, two tokens per batch.
smc::BatchRecord record(std::vector<std::int32_t> tokens, std::vector<double> log_weight) {
  smc::BatchRecord r;
  r.ess = 1.5;
  r.token = std::move(tokens);
  r.log_weight = std::move(log_weight);
  r.finished = {0, 1};
  r.ancestor = {0, 1};
  return r;
}

TEST(Tail, FitsTheScreen) {
  EXPECT_EQ(tail_for_screen("short", 10), "short");
  EXPECT_EQ(tail_for_screen("a longer text", 8), "... text");
  EXPECT_EQ(tail_for_screen("two\nlines\t\x1b[2Jhere", 40), "two lines [2Jhere");
  EXPECT_EQ(tail_for_screen("\u00e4\u00f6\u00fc\u00df\u00e4\u00f6", 5), "...\u00e4\u00f6");
  EXPECT_EQ(tail_for_screen("text", 3), "");
}

TEST(AnswerSoFar, FollowsTheMostProbableParticle) {
  AnswerSoFar answer(2, vocabulary());
  smc::BatchRecord first = record({0, 1, 2, -1}, {-1.0, -2.0});
  answer.add(first);
  EXPECT_EQ(answer.text(), "Cats purr");

  answer.add(record({4, -1, 3, 4}, {-3.0, -2.0}));
  EXPECT_EQ(answer.text(), "dogs bark");
}

TEST(AnswerSoFar, ResamplingReplacesTexts) {
  AnswerSoFar answer(2, vocabulary());
  smc::BatchRecord first = record({0, -1, 2, -1}, {-1.0, -2.0});
  first.resampled = true;
  first.ancestor = {1, 1};
  answer.add(first);
  EXPECT_EQ(answer.text(), "Cats ");

  answer.add(record({3, -1, 1, -1}, {-1.0, -2.0}));
  EXPECT_EQ(answer.text(), "dogs bark");
}

std::string read_available(int descriptor) {
  std::string text(4096, '\0');
  const ssize_t length = read(descriptor, text.data(), text.size());
  text.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return text;
}

TEST(Progress, DrawsOneLineOnATerminal) {
  int master = -1;
  int slave = -1;
  winsize size{.ws_row = 24, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
  fcntl(master, F_SETFL, O_NONBLOCK);
  std::FILE* terminal = fdopen(slave, "w");
  std::string shown;
  {
    Progress progress({.particles = 2, .max_tokens = 8, .timeout_s = 1.0}, vocabulary(), terminal);
    progress.on_batch(record({0, 1, 2, 3}, {-1.0, -2.0}));
    progress.on_token(2);
    shown = read_available(master);
  }
  const std::string cleared = read_available(master);
  std::fclose(terminal);
  close(master);

  EXPECT_EQ(shown.find('\n'), std::string::npos) << shown;
  for (const char* part : {"[####", "2/8 tokens", "ESS 1.5/2", "finished 1", "at most ", " s left", "Cats purr"})
    EXPECT_NE(shown.find(part), std::string::npos) << part << " in " << shown;
  EXPECT_LE(shown.size(), 100U + 4U);
  EXPECT_EQ(cleared, "\r\033[K");
}

TEST(Progress, NeverWrapsOnANarrowTerminal) {
  int master = -1;
  int slave = -1;
  winsize size{.ws_row = 24, .ws_col = 40, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
  fcntl(master, F_SETFL, O_NONBLOCK);
  std::FILE* terminal = fdopen(slave, "w");
  Progress progress({.particles = 2, .max_tokens = 8, .timeout_s = 1.0}, vocabulary(), terminal);
  progress.on_token(2);
  const std::string shown = read_available(master);
  close(master);

  EXPECT_NE(shown.find("2/8 tokens"), std::string::npos) << shown;
  EXPECT_LT(shown.size(), 40U + 4U) << shown;
}

TEST(Progress, WritesAPlainLineEveryFewSecondsElsewhere) {
  std::FILE* file = std::tmpfile();
  {
    Progress progress({.particles = 2, .max_tokens = 8, .timeout_s = {}}, vocabulary(), file);
    progress.on_token(1);
    progress.on_token(2);
  }

  std::rewind(file);
  std::string text(1000, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_EQ(text.find('\n') + 1, text.size()) << text;
  EXPECT_NE(text.find("1/8 tokens"), std::string::npos) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos) << text;
}

}  // namespace
}  // namespace shoal::app
