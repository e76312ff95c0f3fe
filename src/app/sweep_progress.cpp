#include "app/sweep_progress.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "app/progress.hpp"

namespace shoal::app {
namespace {

constexpr auto terminal_period = std::chrono::milliseconds(200);
constexpr auto line_period = std::chrono::seconds(5);

double seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

SweepProgress::SweepProgress(std::size_t to_run, bool quiet)
    : to_run_(to_run), quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {}

SweepProgress::~SweepProgress() { clear_line(); }

void SweepProgress::begin(const std::string& cell) {
  cell_ = cell;
  cell_start_ = Clock::now();
  tick();
}

void SweepProgress::tick() {
  if (quiet_ || !terminal_ || Clock::now() - shown_ < terminal_period) return;
  char begin[64], end[80];
  std::snprintf(begin, sizeof begin, "%s cell %zu/%zu  ",
                progress_bar(static_cast<double>(done_) / static_cast<double>(to_run_)).c_str(), done_ + 1, to_run_);
  std::snprintf(end, sizeof end, "  %.0f s%s", seconds_since(cell_start_), time_left().c_str());
  const std::size_t taken = std::strlen(begin) + std::strlen(end), columns = columns_of(stderr);
  const std::string cell = columns > taken + 1 ? tail_for_screen(cell_, columns - taken - 1) : "";
  std::fprintf(stderr, "\r%s%s%s\033[K", begin, cell.c_str(), end);
  std::fflush(stderr);
  shown_ = Clock::now();
}

void SweepProgress::end(const std::string& outcome, bool failed) {
  ++done_;
  const bool due = !terminal_ && (Clock::now() - shown_ >= line_period || done_ == to_run_);
  const bool news = failed && failures_.insert(outcome).second;
  if (!news && (quiet_ || !due)) return;
  clear_line();
  std::fprintf(stderr, "shoal: cell %zu/%zu  %s  %.1f s  %s%s\n", done_, to_run_, cell_.c_str(),
               seconds_since(cell_start_), outcome.c_str(), time_left().c_str());
  shown_ = terminal_ ? Clock::time_point{} : Clock::now();
}

std::string SweepProgress::time_left() const {
  if (done_ == 0 || done_ >= to_run_) return "";
  char text[48];
  std::snprintf(text, sizeof text, "  about %.0f s left",
                seconds_since(start_) / static_cast<double>(done_) * static_cast<double>(to_run_ - done_));
  return text;
}

void SweepProgress::clear_line() const {
  if (terminal_ && shown_ != Clock::time_point{}) std::fprintf(stderr, "\r\033[K");
}

}  // namespace shoal::app
