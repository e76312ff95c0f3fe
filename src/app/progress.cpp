#include "app/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>

namespace shoal::app {
namespace {

constexpr int bar_width = 24;
constexpr auto terminal_period = std::chrono::milliseconds(100);
constexpr auto line_period = std::chrono::seconds(5);

}  // namespace

std::string progress_bar(double share) {
  const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * bar_width);
  return "[" + std::string(full, '#') + std::string(bar_width - full, '.') + "]";
}

Progress::Progress(int particles, int max_tokens, std::FILE* out)
    : particles_(particles), max_tokens_(max_tokens), out_(out), terminal_(isatty(fileno(out)) == 1), ess_(particles) {}

Progress::~Progress() {
  if (terminal_ && shown_ != Clock::time_point{}) std::fprintf(out_, "\r\033[K");
}

void Progress::on_token(int tokens_done) {
  tokens_ = tokens_done;
  if (Clock::now() - shown_ >= (terminal_ ? Clock::duration(terminal_period) : Clock::duration(line_period))) show();
}

void Progress::on_batch(const smc::BatchRecord& record) {
  ess_ = record.ess;
  log_z_ = record.log_z;
  finished_ = static_cast<int>(std::count(record.finished.begin(), record.finished.end(), std::uint8_t{1}));
}

void Progress::show() {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds > 0 ? tokens_ / seconds : 0.0;
  const double left = rate > 0 ? (max_tokens_ - tokens_) / rate : 0.0;
  std::fprintf(out_, "%s%s %d/%d tokens  ESS %.1f/%d  log Z %.2f  finished %d  at most %.0f s left%s",
               terminal_ ? "\r" : "", progress_bar(static_cast<double>(tokens_) / max_tokens_).c_str(), tokens_,
               max_tokens_, ess_, particles_, log_z_, finished_, left, terminal_ ? "\033[K" : "\n");
  std::fflush(out_);
  shown_ = now;
}

}  // namespace shoal::app
