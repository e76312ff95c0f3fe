// Several ranks as threads of one process: a Transport that migrates every child it can, and stops ranks at chosen
// tokens. A rank that never comes to a collective makes the others throw after a while instead of waiting for ever.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
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
#include <utility>
#include <vector>

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

  int ranks_;
  int arrived_ = 0;
  std::size_t generation_ = 0;
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<std::string> parts_;
};

class ThreadCluster::Member final : public smc::Transport {
 public:
  /// @param tokens_until_deadline how many polls find the deadline ahead
  Member(ThreadCluster* cluster, int rank, int tokens_until_deadline)
      : cluster_(cluster), rank_(rank), polls_(tokens_until_deadline) {}

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
  smc::Exchange exchange(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                         const std::function<std::string(LogicalId)>& pack) override {
    smc::Exchange exchange;
    ++exchanges_;
    std::set<std::pair<LogicalId, Rank>> transfers;
    for (std::uint32_t child = 0; child < ancestors.size(); ++child) {
      const Rank to{static_cast<std::int32_t>((child + exchanges_) % static_cast<std::uint32_t>(size()))};
      const LogicalId parent = ancestors[child];
      exchange.owners.push_back(to);
      if (to == rank()) exchange.births.push_back({LogicalId{child}, parent});
      if (owners[parent.value()] == to) continue;
      ++exchange.stats.moved;
      transfers.insert({parent, to});
    }
    exchange.stats.sent = transfers.size();
    ByteWriter out;
    for (const auto& [parent, to] : transfers) {
      if (owners[parent.value()] != rank()) continue;
      out.put(parent);
      out.put(to);
      out.put_string(pack(parent));
    }
    for (const std::string& part : cluster_->all_gather(rank_, out.take()))
      for (ByteReader in(part); !in.empty();) receive(&in, &exchange);
    return exchange;
  }

 private:
  void receive(ByteReader* in, smc::Exchange* exchange) const {
    const auto parent = in->get<LogicalId>();
    const auto to = in->get<Rank>();
    const std::string_view state = in->get_string();
    if (to == rank()) exchange->arrivals.push_back({parent, std::string(state)});
  }

  ThreadCluster* cluster_;
  int rank_;
  int polls_;
  std::uint32_t exchanges_ = 0;
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
/// transport.
inline std::vector<RankOutcome> run_on_ranks(const std::vector<int>& tokens_until_deadline,
                                             const std::function<smc::RunResult(smc::Transport&)>& run_rank) {
  const int ranks = static_cast<int>(tokens_until_deadline.size());
  ThreadCluster cluster(ranks);
  std::vector<RankOutcome> outcomes(tokens_until_deadline.size());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      set_worker_threads(1);
      const auto at = static_cast<std::size_t>(rank);
      ThreadCluster::Member member(&cluster, rank, tokens_until_deadline[at]);
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
