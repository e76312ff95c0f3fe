#include "cluster/stop_signal.hpp"

#include <string>

namespace shoal::cluster {
namespace {

constexpr int stop_tag = 1;
constexpr Rank root{0};
constexpr double longest_s = 1e9;  // beyond it the clock's integers could overflow

}  // namespace

StopSignal::StopSignal(Links* links, std::optional<double> timeout_s) : links_(links) {
  using Clock = std::chrono::steady_clock;
  if (links_->rank != root)
    messages_.push_back(Message::receive(std::string(1, '\0'), root, stop_tag, links_->agreements));
  if (timeout_s && *timeout_s < longest_s) {
    const double seconds = links_->rank == root ? *timeout_s : *timeout_s / 2;  // the clocks start at different times
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }
}

StopSignal::~StopSignal() {
  try {
    if (links_->rank == root && !passed_) send(Word::ended);
    for (Message& message : messages_) links_->adopt(std::move(message));
  } catch (const std::exception&) {
    return;  // MPI is broken; the run's own calls report it
  }
}

bool StopSignal::passed() {
  if (passed_) return true;
  const bool due = deadline_ && std::chrono::steady_clock::now() >= *deadline_;
  if (links_->rank != root) {
    // One poll may do no more than let the message in (measured with Open MPI 4.1), and the next comes a token later.
    passed_ = heard() || (due && heard());
  } else if (due) {
    passed_ = true;
    send(Word::stop);
  }
  return passed_;
}

bool StopSignal::heard() {
  return messages_.front().done() && messages_.front().bytes().front() == static_cast<char>(Word::stop);
}

void StopSignal::send(Word word) {
  for (int r = 1; r < links_->size; ++r)
    messages_.push_back(Message::send(std::string(1, static_cast<char>(word)), Rank{r}, stop_tag, links_->agreements));
}

}  // namespace shoal::cluster
