#include "app/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

namespace shoal::app {
namespace {

constexpr int bar_width = 16;
constexpr auto terminal_period = std::chrono::milliseconds(100);
constexpr auto line_period = std::chrono::seconds(5);
constexpr int most_particles_with_texts = 20'000;  ///< their copies at a resampling would be felt
constexpr std::size_t columns_elsewhere = 160;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

std::string progress_bar(double share) {
  const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * bar_width);
  return "[" + std::string(full, '#') + std::string(bar_width - full, '.') + "]";
}

std::string tail_for_screen(std::string_view text, std::size_t columns) {
  constexpr std::string_view left_out = "...";
  if (columns <= left_out.size()) return "";
  std::string line;
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (!control || (!line.empty() && line.back() != ' ')) line += control ? ' ' : c;
  }
  const auto characters =
      static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) { return !continues_character(c); }));
  if (characters <= columns) return line;
  std::size_t drop = characters - (columns - left_out.size());
  std::size_t at = 0;
  for (; at < line.size() && (drop > 0 || continues_character(line[at])); ++at)
    if (!continues_character(line[at])) --drop;
  return std::string(left_out) + line.substr(at);
}

std::size_t columns_of(std::FILE* out) {
  if (isatty(fileno(out)) != 1) return columns_elsewhere;
  winsize size{};
  return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void AnswerSoFar::add(const smc::BatchRecord& record) {
  const std::size_t batch_size = record.token.size() / texts_.size();
  for (std::size_t i = 0; i < texts_.size(); ++i)
    for (std::size_t t = 0; t < batch_size; ++t)
      if (const std::int32_t id = record.token[i * batch_size + t]; id >= 0)
        texts_[i] += vocabulary_->bytes(TokenId{id});
  const auto best = std::max_element(record.log_weight.begin(), record.log_weight.end());
  best_ = texts_[static_cast<std::size_t>(best - record.log_weight.begin())];
  if (!record.resampled) return;
  std::vector<std::string> children;
  for (const std::uint32_t parent : record.ancestor) children.push_back(texts_[parent]);
  texts_ = std::move(children);
}

Progress::Progress(const ProgressSettings& settings, const Vocabulary& vocabulary, std::FILE* out)
    : settings_(settings), out_(out), terminal_(isatty(fileno(out)) == 1), ess_(settings.particles) {
  if (settings.particles <= most_particles_with_texts)
    answer_.emplace(static_cast<std::size_t>(settings.particles), vocabulary);
}

Progress::~Progress() {
  if (!line_open_) return;
  std::fprintf(out_, "\r\033[K");
  std::fflush(out_);
}

void Progress::on_token(int tokens_done) {
  tokens_ = tokens_done;
  if (Clock::now() - shown_ >= (terminal_ ? Clock::duration(terminal_period) : Clock::duration(line_period))) show();
}

void Progress::on_batch(const smc::BatchRecord& record) {
  ess_ = record.ess;
  log_z_ = record.log_z;
  const auto finished = std::count(record.finished.begin(), record.finished.end(), std::uint8_t{1});
  finished_ = record.finished.empty() ? "" : "  finished " + std::to_string(finished);
  if (answer_) answer_->add(record);
}

void Progress::show() {
  const auto now = Clock::now();
  char figures[160];
  std::snprintf(figures, sizeof figures, "%s %d/%d tokens  ESS %.1f/%d  log Z %.2f%s  %s",
                progress_bar(static_cast<double>(tokens_) / settings_.max_tokens).c_str(), tokens_,
                settings_.max_tokens, ess_, settings_.particles, log_z_, finished_.c_str(),
                time_left(std::chrono::duration<double>(now - start_).count()).c_str());
  std::string line = figures;
  const std::size_t columns = columns_of(out_);
  if (terminal_) line.resize(std::min(line.size(), columns - 1));  // a line that wraps cannot be drawn over
  if (answer_ && !answer_->text().empty() && columns > line.size() + 4)
    line += "  " + tail_for_screen(answer_->text(), columns - line.size() - 3);
  std::fprintf(out_, terminal_ ? "\r%s\033[K" : "%s\n", line.c_str());
  std::fflush(out_);
  line_open_ = terminal_;
  shown_ = now;
}

/// Particles may end earlier, hence "at most".
std::string Progress::time_left(double seconds) const {
  double left = std::numeric_limits<double>::infinity();
  if (tokens_ > 0) left = seconds / tokens_ * (settings_.max_tokens - tokens_);
  if (settings_.timeout_s) left = std::min(left, std::max(0.0, *settings_.timeout_s - seconds));
  if (left == std::numeric_limits<double>::infinity()) return "";
  char text[48];
  std::snprintf(text, sizeof text, "at most %.0f s left", left);
  return text;
}

}  // namespace shoal::app
