// Progress of a run on standard error: a bar on a terminal, a plain line every few seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "smc/run.hpp"

namespace shoal::app {

/// "[####....]"
std::string progress_bar(double share);

class Progress final : public smc::Observer {
 public:
  /// @param max_tokens token steps at which the bar is full
  Progress(int particles, int max_tokens, std::FILE* out);
  ~Progress() override;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void on_batch(const smc::BatchRecord& record) override;
  void on_token(int tokens_done) override;

 private:
  using Clock = std::chrono::steady_clock;

  void show();

  int particles_;
  int max_tokens_;
  std::FILE* out_;
  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
  int tokens_ = 0;
  double ess_ = 0.0;
  double log_z_ = 0.0;
  int finished_ = 0;
};

/// Passes every event on to several observers.
class ObserverList final : public smc::Observer {
 public:
  void add(smc::Observer* observer) { observers_.push_back(observer); }
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
