// Progress of a run on standard error: a bar on a terminal, a plain line every few seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/vocabulary.hpp"
#include "smc/run.hpp"

namespace shoal::app {

/// "[####....]"
std::string progress_bar(double share);

/// The end of @p text in at most @p columns characters, on one line, without control characters; "..." before it if
/// something was left out.
std::string tail_for_screen(std::string_view text, std::size_t columns);
/// That fit into a line of @p out; a fixed number if it is no terminal.
std::size_t columns_of(std::FILE* out);

/// What the most probable particle has written so far, from the records of the batches.
class AnswerSoFar {
 public:
  /// @param vocabulary must outlive this
  AnswerSoFar(std::size_t particles, const Vocabulary& vocabulary) : vocabulary_(&vocabulary), texts_(particles) {}
  void add(const smc::BatchRecord& record);
  [[nodiscard]] const std::string& text() const { return best_; }

 private:
  const Vocabulary* vocabulary_;
  std::vector<std::string> texts_;
  std::string best_;
};

struct ProgressSettings {
  int particles = 0;
  int max_tokens = 0;               ///< token steps at which the bar is full
  std::optional<double> timeout_s;  ///< time left is no more than what is left of this
};

class Progress final : public smc::Observer {
 public:
  /// @param vocabulary must outlive this
  Progress(const ProgressSettings& settings, const Vocabulary& vocabulary, std::FILE* out);
  ~Progress() override;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void on_batch(const smc::BatchRecord& record) override;
  void on_token(int tokens_done) override;

 private:
  using Clock = std::chrono::steady_clock;

  void show();
  [[nodiscard]] std::string time_left(double seconds) const;

  ProgressSettings settings_;
  std::FILE* out_;
  bool terminal_;
  std::optional<AnswerSoFar> answer_;  ///< nothing for very many particles
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
  bool line_open_ = false;
  int tokens_ = 0;
  double ess_ = 0.0;
  double log_z_ = 0.0;
  std::string finished_ = "  finished 0";  ///< empty if not known
};

/// Passes every event on to several observers.
class ObserverList final : public smc::Observer {
 public:
  void add(smc::Observer* observer) { observers_.push_back(observer); }
  [[nodiscard]] bool empty() const { return observers_.empty(); }
  void on_batch(const smc::BatchRecord& record) override {
    for (auto* observer : observers_) observer->on_batch(record);
  }
  void on_token(int tokens_done) override {
    for (auto* observer : observers_) observer->on_token(tokens_done);
  }

 private:
  std::vector<smc::Observer*> observers_;
};

}  // namespace shoal::app
