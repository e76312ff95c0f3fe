// Several ranks as threads of one process: a Transport that migrates every child it can, delays what it carries, and
// stops ranks at chosen tokens. A rank that never comes to a collective makes the others throw after a while instead of
// waiting for ever.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/parallel.hpp"
#include "smc/run.hpp"

namespace shoal::test {

class ThreadCluster {
 public:
  explicit ThreadCluster(int ranks) : ranks_(ranks), parts_(static_cast<std::size_t>(ranks)) {}

  class Member;

 private:
  void barrier() {
    std::unique_lock lock(mutex_);
    const std::size_t mine = generation_;
    if (++arrived_ == ranks_) {
      arrived_ = 0;
      ++generation_;
      all_here_.notify_all();
    } else if (!all_here_.wait_for(lock, std::chrono::seconds(20), [&] { return generation_ != mine; })) {
      throw std::logic_error("a rank did not come to the collective");
    }
  }
  /// Hands every rank's value to every rank.
  std::vector<std::string> all_gather(int rank, std::string mine) {
    parts_[static_cast<std::size_t>(rank)] = std::move(mine);
    barrier();
    std::vector<std::string> all = parts_;
    barrier();
    return all;
  }

  void send(int from, int to, std::string bytes) {
    const std::lock_guard lock(mutex_);
    mail_[{from, to}].push_back(std::move(bytes));
  }
  std::optional<std::string> collect(int from, int to) {
    const std::lock_guard lock(mutex_);
    auto& box = mail_[{from, to}];
    if (box.empty()) return std::nullopt;
    std::string bytes = std::move(box.front());
    box.pop_front();
    return bytes;
  }

  int ranks_;
  int arrived_ = 0;
  std::size_t generation_ = 0;
  std::map<std::pair<int, int>, std::deque<std::string>> mail_;
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<std::string> parts_;
};

class ThreadCluster::Member final : public smc::Transport {
 public:
  /// @param tokens_until_deadline how many polls find the deadline ahead
  /// @param delay                 how many polls find a shipment still on its way
  Member(ThreadCluster* cluster, int rank, int tokens_until_deadline, int delay = 0)
      : cluster_(cluster), rank_(rank), polls_(tokens_until_deadline), delay_(delay) {}

  [[nodiscard]] Rank rank() const override { return Rank{rank_}; }
  [[nodiscard]] int size() const override { return cluster_->ranks_; }
  bool deadline_passed() override { return polls_-- <= 0; }

  void allreduce_max(std::span<double> values) override {
    ByteWriter out;
    out.put_span<double>(values);
    for (const std::string& part : cluster_->all_gather(rank_, out.take())) {
      const auto theirs = ByteReader(part).get_vector<double>();
      if (theirs.size() != values.size()) throw std::logic_error("ranks reduce different numbers of values");
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::max(values[i], theirs[i]);
    }
  }

  std::vector<std::string> gather(std::string_view mine) override {
    auto all = cluster_->all_gather(rank_, std::string(mine));
    return rank_ == 0 ? all : std::vector<std::string>{};
  }

  /// Children are dealt out in turn, starting from another rank each time.
  [[nodiscard]] smc::MigrationPlan plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                        double /*spare*/) const override {
    smc::MigrationPlan plan;
    ++plans_;
    std::set<std::tuple<Rank, Rank, LogicalId>> transfers;
    for (std::uint32_t child = 0; child < ancestors.size(); ++child) {
      const Rank to{static_cast<std::int32_t>((child + plans_) % static_cast<std::uint32_t>(size()))};
      const Rank from = owners[ancestors[child].value()];
      plan.owners.push_back(to);
      if (from == to) continue;
      ++plan.stats.moved;
      transfers.insert({from, to, ancestors[child]});
    }
    for (const auto& [from, to, parent] : transfers) plan.transfers.push_back({parent, from, to});
    plan.stats.sent = transfers.size();
    return plan;
  }

  std::unique_ptr<smc::Shipment> ship(std::vector<smc::Parcel> outgoing, std::vector<smc::Parcel> incoming) override {
    for (smc::Parcel& parcel : outgoing)
      if (!parcel.bytes.empty()) cluster_->send(rank_, parcel.peer.value(), std::move(parcel.bytes));
    return std::make_unique<Letters>(cluster_, rank_, std::move(incoming), delay_);
  }

 private:
  class Letters final : public smc::Shipment {
   public:
    Letters(ThreadCluster* cluster, int rank, std::vector<smc::Parcel> incoming, int delay)
        : cluster_(cluster), rank_(rank), incoming_(std::move(incoming)), delay_(delay) {}
    bool arrived() override {
      if (delay_-- > 0) return false;
      collect();
      return true;
    }
    void wait(const std::function<bool()>& stop) override {
      while (!arrived())
        if (stop()) return;
    }
    std::vector<std::string> take() override {
      std::vector<std::string> taken;
      for (smc::Parcel& parcel : incoming_) taken.push_back(std::move(parcel.bytes));
      return taken;
    }

   private:
    void collect() {
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      for (; next_ < incoming_.size(); ++next_) {
        std::string& room = incoming_[next_].bytes;
        if (room.empty()) continue;
        std::optional<std::string> letter;
        while (!(letter = cluster_->collect(incoming_[next_].peer.value(), rank_))) {
          if (std::chrono::steady_clock::now() > give_up) throw std::logic_error("a rank did not send what it should");
          std::this_thread::yield();
        }
        if (letter->size() != room.size()) throw std::logic_error("a parcel of another size than expected");
        room = std::move(*letter);
      }
    }

    ThreadCluster* cluster_;
    int rank_;
    std::vector<smc::Parcel> incoming_;
    std::size_t next_ = 0;
    int delay_;
  };

  ThreadCluster* cluster_;
  int rank_;
  int polls_;
  int delay_;
  mutable std::uint32_t plans_ = 0;
};

/// What a rank's run came to.
struct RankOutcome {
  smc::RunResult result;
  std::exception_ptr failure;

  [[nodiscard]] std::string message() const {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      return error.what();
    }
    return {};
  }
};

inline constexpr int no_deadline = std::numeric_limits<int>::max();

/// One run over as many ranks as there are entries in @p tokens_until_deadline; @p run_rank is smc::run with the given
/// transport. Shipments come after @p delay polls.
inline std::vector<RankOutcome> run_on_ranks(const std::vector<int>& tokens_until_deadline,
                                             const std::function<smc::RunResult(smc::Transport&)>& run_rank,
                                             int delay = 0) {
  const int ranks = static_cast<int>(tokens_until_deadline.size());
  ThreadCluster cluster(ranks);
  std::vector<RankOutcome> outcomes(tokens_until_deadline.size());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      set_worker_threads(1);
      const auto at = static_cast<std::size_t>(rank);
      ThreadCluster::Member member(&cluster, rank, tokens_until_deadline[at], delay);
      try {
        outcomes[at].result = run_rank(member);
      } catch (...) {
        outcomes[at].failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

}  // namespace shoal::test
