#include "cluster/heartbeat.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <sstream>

#include "base/message.hpp"
#include "shoal/error.hpp"

namespace shoal::cluster {
namespace {

constexpr int beat_tag = 1;
constexpr int beats_per_limit = 10;
constexpr int looks_per_limit = 100;
constexpr double longest_s = 1e9;  // beyond it the clock's integers could overflow

using Name = std::array<char, 320>;

Name my_name(Rank rank) {
  std::array<char, 256> node{};
  if (gethostname(node.data(), node.size() - 1) != 0) node = {'?'};
  Name name{};
  std::snprintf(name.data(), name.size(), "rank %d (process %d on %s)", rank.value(), static_cast<int>(getpid()),
                node.data());
  return name;
}

}  // namespace

Heartbeat::Heartbeat(MPI_Comm world)
    : comm_(Communicator::duplicate(world)),
      before_((comm_.rank() + comm_.size() - 1) % comm_.size()),
      after_((comm_.rank() + 1) % comm_.size()),
      beaten_(Clock::now()) {
  const Name mine = my_name(Rank{comm_.rank()});
  Name after{};
  check(MPI_Sendrecv(mine.data(), mine.size(), MPI_CHAR, before_.value(), beat_tag, after.data(), after.size(),
                     MPI_CHAR, after_.value(), beat_tag, comm_.get(), MPI_STATUS_IGNORE),
        "MPI_Sendrecv");
  name_of_after_ = after.data();
}

Heartbeat::~Heartbeat() {
  if (awaited_ && Session::alive()) awaited_->cancel();
}

void Heartbeat::set_limit(double seconds) {
  limit_ = {};
  if (seconds > 0.0 && seconds < longest_s)
    limit_ = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void Heartbeat::beat() {
  if (!on()) return;
  const auto now = Clock::now();
  if (now - beaten_ < limit_ / beats_per_limit || (sent_ && !sent_->done())) return;
  beaten_ = now;
  sent_.emplace(Message::send(".", before_, beat_tag, comm_));
}

/// Whether bytes have come since the last call.
bool Heartbeat::heard() {
  bool any = false;
  for (;;) {
    if (!awaited_) awaited_.emplace(Message::receive(" ", after_, beat_tag, comm_));
    if (!awaited_->done()) return any;
    any = true;
    awaited_.reset();
  }
}

void Heartbeat::Watch::look() {
  if (!heartbeat_->on()) return;
  const auto now = Clock::now();
  if (now - looked_ < heartbeat_->limit_ / looks_per_limit) return;
  const bool was_stopped = now - looked_ > heartbeat_->limit_ / beats_per_limit;  // itself, and so knows nothing
  looked_ = now;
  heartbeat_->beat();
  if (heartbeat_->heard() || was_stopped) heard_ = now;
  if (now - heard_ >= heartbeat_->limit_) heartbeat_->give_up();
}

void Heartbeat::give_up() const {
  std::ostringstream seconds;
  seconds << std::chrono::duration<double>(limit_).count();
  print_error(name_of_after_ + " hangs (no sign of it for " + seconds.str() +
              " s) start again with --resume; give a larger --hang-limit if one token takes that long");
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ExitCode::lost));
  _exit(static_cast<int>(ExitCode::lost));
}

}  // namespace shoal::cluster
