#include "smc/decoder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/parallel.hpp"
#include "base/stopwatch.hpp"

namespace shoal::smc {
namespace {

/// Logits held at a time: 256 MiB. More rows take several forward passes, with the same bits.
constexpr std::size_t max_logits = std::size_t{1} << 26U;

/// Draws that one worker makes in a row.
constexpr std::size_t draws_at_once = 4096;

constexpr std::int32_t end_drawn = -1;
constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

}  // namespace

Decoder::Decoder(const LanguageModel& model, ContextTree* tree, std::span<const PotentialPtr> potentials,
                 const Options& options)
    : vocabulary_(model.vocabulary()),
      tree_(tree),
      potentials_(potentials),
      max_tokens_(static_cast<std::size_t>(options.max_tokens)),
      key_{options.seed},
      stops_(options.stop, vocabulary_),
      growth_(potentials, stops_, vocabulary_),
      sampling_{options.temperature, options.top_k, options.top_p, options.min_p},
      proposal_(make_proposal(options.proposal, {.vocabulary = vocabulary_,
                                                 .potentials = potentials,
                                                 .stops = stops_,
                                                 .temperature = options.temperature,
                                                 .truncation = {options.top_k, options.top_p, options.min_p}})),
      part_count_(options.micro_batches),
      history_of_draw_(static_cast<std::size_t>(vocabulary_.size()) + 1, none) {}

void Decoder::advance(Population* population, std::uint32_t step, std::size_t made) {
  drawn_.resize(population->ids().size());
  if (tree_->can_sample()) return advance_in_parts(population, step, made);
  const std::vector<Row> rows = distinct_rows(*population, made);
  count_contexts(rows.size(), step);
  const Members members = members_of(*population, rows);
  const std::size_t at_once = std::max<std::size_t>(16, max_logits / static_cast<std::size_t>(vocabulary_.size()));
  for (std::size_t begin = 0; begin < rows.size(); begin += at_once) {
    const auto some = std::span(rows).subspan(begin, std::min(at_once, rows.size() - begin));
    apply(population, members, some, draw_here(*population, members, some, step), step);
  }
}

Members Decoder::members_of(const Population& population, std::span<const Row> rows) {
  const ScopedTimer timer(&seconds_.potentials);
  std::vector<bool> in_rows(population.histories().size(), false);
  for (const Row& row : rows)
    for (const std::uint32_t history : row.histories) in_rows[history] = true;
  return {population.history_of(), in_rows};
}

/// The CPU makes one part ready and deals with what was drawn for another while the processor computes.
void Decoder::advance_in_parts(Population* population, std::uint32_t step, std::size_t made) {
  const Stopwatch watch;
  const auto next_rows = [&] {
    std::vector<Row> rows = distinct_rows(*population, made);
    if (!rows.empty() || !under_way_ || under_way_->made == made) return rows;
    settle();
    return distinct_rows(*population, made);
  };
  std::vector<Row> rows = next_rows();
  const auto parts = static_cast<std::size_t>(part_count_.parts());
  const std::size_t at_once = (rows.size() + (under_way_ ? under_way_->rows.size() : 0) + parts - 1) / parts;
  for (; !rows.empty(); rows = next_rows()) {
    rows.resize(std::min(rows.size(), at_once));
    Part next = prepare(population, std::move(rows), step, made);
    const std::optional<DrawnPart> before = finish();
    start(std::move(next));
    apply(before);
  }
  part_count_.took(watch.seconds());
}

void Decoder::settle() { apply(finish()); }

/// Those of the run's last token, of which a part may come later than the rest.
void Decoder::count_contexts(std::size_t rows, std::uint32_t step) {
  if (step < last_step_) return;
  distinct_contexts_ = rows + (step == last_step_ ? distinct_contexts_ : 0);
  last_step_ = step;
}

std::vector<Decoder::Row> Decoder::distinct_rows(const Population& population, std::size_t made) {
  std::vector<Row> rows;
  std::unordered_map<ContextId, std::size_t> row_of;
  for (std::uint32_t h = 0; h < population.histories().size(); ++h) {
    const History& history = population.histories()[h];
    if (history.status != Status::growing || history.waiting || history.drawing || history.increments.size() != made)
      continue;
    const ContextId context = history.context.id();
    const auto [at, is_new] = row_of.try_emplace(context, rows.size());
    if (is_new) rows.push_back({context, {}});
    rows[at->second].histories.push_back(h);
  }
  return rows;
}

void Decoder::apply(const std::optional<DrawnPart>& drawn) {
  if (!drawn) return;
  const Part& part = drawn->part;
  apply(part.population, part.members, part.rows, drawn->outcomes, part.step);
}

void Decoder::apply(Population* population, const Members& members, std::span<const Row> rows,
                    std::span<const RowOutcome> outcomes, std::uint32_t step) {
  const ScopedTimer timer(&seconds_.potentials);
  std::vector<Step> steps;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const std::uint32_t history : rows[i].histories) {
      particle_tokens_ += members.of(history).size();
      add_steps(population, members, history, outcomes[i], &steps);
    }
  }
  const auto histories = population->histories();
  parallel_for(steps.size(), [&](std::size_t i) { apply(steps[i], &histories[steps[i].history], step); });
  for (const Step& one : steps) move_context(one, &histories[one.history]);
}

std::vector<Decoder::RowOutcome> Decoder::draw_here(const Population& population, const Members& members,
                                                    std::span<const Row> rows, std::uint32_t step) {
  forward(rows);
  const ScopedTimer timer(&seconds_.potentials);
  const auto row_size = static_cast<std::size_t>(vocabulary_.size());
  std::vector<RowOutcome> outcomes(rows.size());
  std::vector<std::optional<TokenDistribution>> distributions(rows.size());
  parallel_for(rows.size(), [&](std::size_t i) {
    const auto logits = std::span(logits_).subspan(i * row_size, row_size);
    const History& first = population.histories()[rows[i].histories.front()];
    TokenDistribution& q = distributions[i].emplace(proposal_->distribution(logits, view_of(first)));
    outcomes[i] = outcome_of(first, q.log_mass(), q.log_end());
    if (outcomes[i].is_dead_end()) outcomes[i].culprit = culprit(logits, first);
    if (outcomes[i].is_drawn()) q.expect_draws(draws_of(rows[i], members));
  });
  const std::vector<Piece> pieces = pieces_of(rows, outcomes, members);
  parallel_for(pieces.size(), [&](std::size_t i) {
    for (const std::uint32_t place : pieces[i].places) {
      const auto token = distributions[pieces[i].row]->draw(uniform(population, place, step));
      drawn_[place] = token ? token->value() : end_drawn;
    }
  });
  return outcomes;
}

/// Uniforms in the order of rows, histories and places.
Decoder::Part Decoder::prepare(Population* population, std::vector<Row> rows, std::uint32_t step, std::size_t made) {
  count_contexts(rows.size(), step);
  Members members = members_of(*population, rows);
  const ScopedTimer timer(&seconds_.potentials);
  Part part{population, std::move(rows), std::move(members), {}, step, made};
  part.sampled.resize(part.rows.size());
  parallel_for(part.rows.size(), [&](std::size_t i) {
    const Row& row = part.rows[i];
    part.sampled[i].context = row.context;
    part.sampled[i].allowed = proposal_->allowed(view_of(population->histories()[row.histories.front()]));
    for (const std::uint32_t history : row.histories)
      for (const std::uint32_t place : part.members.of(history))
        part.sampled[i].uniforms.push_back(uniform(*population, place, step));
  });
  return part;
}

void Decoder::start(Part part) {
  const ScopedTimer timer(&seconds_.forward);
  under_way_ = std::move(part);
  for (const Row& row : under_way_->rows)
    for (const std::uint32_t history : row.histories) under_way_->population->histories()[history].drawing = true;
  tree_->start_sampling(sampling_, under_way_->sampled);
}

std::optional<Decoder::DrawnPart> Decoder::finish() {
  if (!under_way_) return std::nullopt;
  {
    const ScopedTimer timer(&seconds_.forward);
    tree_->finish_sampling();
  }
  DrawnPart drawn{std::move(*std::exchange(under_way_, std::nullopt)), {}};
  for (std::size_t i = 0; i < drawn.part.rows.size(); ++i) drawn.outcomes.push_back(take_draws(drawn.part, i));
  return drawn;
}

Decoder::RowOutcome Decoder::take_draws(const Part& part, std::size_t i) {
  const Row& row = part.rows[i];
  const ContextDraws& sampled = part.sampled[i];
  const History& first = part.population->histories()[row.histories.front()];
  RowOutcome outcome = outcome_of(first, sampled.log_mass, sampled.log_end);
  if (outcome.is_dead_end()) outcome.culprit = culprit(row, first);
  if (!outcome.is_drawn()) return outcome;
  auto token = sampled.tokens.begin();
  for (const std::uint32_t history : row.histories) {
    for (const std::uint32_t place : part.members.of(history)) {
      drawn_[place] = *token ? (*token)->value() : end_drawn;
      ++token;
    }
  }
  return outcome;
}

std::size_t Decoder::draws_of(const Row& row, const Members& members) {
  std::size_t sum = 0;
  for (const std::uint32_t history : row.histories) sum += members.of(history).size();
  return sum;
}

std::vector<Decoder::Piece> Decoder::pieces_of(std::span<const Row> rows, std::span<const RowOutcome> outcomes,
                                               const Members& members) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!outcomes[i].is_drawn()) continue;
    for (const std::uint32_t history : rows[i].histories)
      for (auto rest = members.of(history); !rest.empty();) {
        const std::size_t size = std::min(rest.size(), draws_at_once);
        pieces.push_back({i, rest.first(size)});
        rest = rest.subspan(size);
      }
  }
  return pieces;
}

ContextView Decoder::view_of(const History& history) { return {history.states, history.stop_state}; }

double Decoder::uniform(const Population& population, std::uint32_t place, std::uint32_t step) const {
  return random_uniform(key_, step, population.ids()[place], Purpose::token);
}

/// @param first of the row: all have the same number of tokens
Decoder::RowOutcome Decoder::outcome_of(const History& first, double log_mass, double log_end) const {
  return {.forced = first.tokens.size() >= max_tokens_, .log_mass = log_mass, .log_end = log_end};
}

bool Decoder::RowOutcome::is_drawn() const { return !forced && std::isfinite(log_mass); }
bool Decoder::RowOutcome::is_dead_end() const { return !forced && !std::isfinite(log_mass); }

/// Fetches the logits after all: this happens once in a while.
Culprit Decoder::culprit(const Row& row, const History& first) {
  forward({&row, 1});
  return culprit(std::span(logits_).first(static_cast<std::size_t>(vocabulary_.size())), first);
}

void Decoder::forward(std::span<const Row> rows) {
  const ScopedTimer timer(&seconds_.forward);
  std::vector<ContextId> contexts;
  for (const Row& row : rows) contexts.push_back(row.context);
  logits_.resize(std::max(logits_.size(), rows.size() * static_cast<std::size_t>(vocabulary_.size())));
  tree_->forward(contexts, std::span(logits_).first(rows.size() * static_cast<std::size_t>(vocabulary_.size())));
}

Culprit Decoder::culprit(std::span<const float> logits, const History& first) const {
  const Potential* potential = proposal_->culprit(logits, view_of(first));
  const auto at = std::find_if(potentials_.begin(), potentials_.end(),
                               [&](const PotentialPtr& candidate) { return candidate.get() == potential; });
  return at == potentials_.end() ? model_culprit : static_cast<Culprit>(at - potentials_.begin());
}

/// Lists what becomes of a history: several histories, if its particles have drawn different tokens.
void Decoder::add_steps(Population* population, const Members& members, std::uint32_t history,
                        const RowOutcome& outcome, std::vector<Step>* steps) {
  if (outcome.forced) {
    steps->push_back({history, Outcome::forced_end, {}, {outcome.log_end, model_culprit}});
    return;
  }
  const Increment increment(outcome.log_mass, outcome.culprit);
  if (outcome.is_dead_end()) {
    steps->push_back({history, Outcome::nothing, {}, increment});
    return;
  }
  const std::size_t before = steps->size();
  for (const std::uint32_t place : members.of(history)) {
    std::uint32_t& child = history_of_draw_[static_cast<std::size_t>(drawn_[place] - end_drawn)];
    if (child == none) {
      child = steps->size() == before ? history : population->add_copy(history);
      const bool ended = drawn_[place] == end_drawn;
      steps->push_back({child, ended ? Outcome::end : Outcome::token, TokenId{drawn_[place]}, increment});
    }
    population->give(place, child);
  }
  for (std::size_t i = before; i < steps->size(); ++i)
    history_of_draw_[static_cast<std::size_t>((*steps)[i].token.value() - end_drawn)] = none;
}

void Decoder::apply(const Step& one, History* history, std::uint32_t step) const {
  history->drawing = false;
  switch (one.outcome) {
    case Outcome::token:
      return growth_.append(history, one.token, one.increment, step);
    case Outcome::end:
      return growth_.complete(history, Status::ended, one.increment, step);
    case Outcome::forced_end:
      return growth_.complete(history, Status::forced, one.increment, step);
    case Outcome::nothing:
      return Growth::finish_step(history, one.increment, step);
  }
}

void Decoder::move_context(const Step& one, History* history) const {
  ContextReference& context = history->context;
  if (history->status == Status::growing && one.outcome == Outcome::token)
    context = ContextReference(tree_, tree_->extend(context.id(), one.token));
  else
    context.reset();
}

void Decoder::evaluate_expensive(Population* population, std::uint32_t step) {
  const ScopedTimer timer(&seconds_.potentials);
  std::vector<History*> work;
  for (History& history : population->histories()) {
    history.expensive_increment = 0.0;
    if (!history.increments.empty() && history.status != Status::dead) work.push_back(&history);
  }
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (potentials_[k]->cost() == Cost::cheap) continue;
    parallel_for(work.size(), [&](std::size_t i) {
      if (work[i]->expensive_increment > -std::numeric_limits<double>::infinity())
        growth_.evaluate_expensive(k, work[i], step);
    });
  }
}

void Decoder::cut(Population* population, std::size_t tokens) const {
  for (History& history : population->histories()) growth_.restore(&history, tokens);
}

}  // namespace shoal::smc
