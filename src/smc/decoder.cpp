#include "smc/decoder.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/parallel.hpp"
#include "base/stopwatch.hpp"

namespace shoal::smc {
namespace {

/// Logits held at a time: 256 MiB. More rows take several forward passes, with the same bits.
constexpr std::size_t max_logits = std::size_t{1} << 26U;

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
      part_count_(options.micro_batches) {}

void Decoder::advance(Population* population, std::uint32_t step, std::size_t made) {
  if (tree_->can_sample()) return advance_in_parts(population, step, made);
  const std::vector<Row> rows = distinct_rows(population, made);
  count_contexts(rows.size(), step);
  const std::size_t at_once = std::max<std::size_t>(16, max_logits / static_cast<std::size_t>(vocabulary_.size()));
  for (std::size_t begin = 0; begin < rows.size(); begin += at_once)
    apply({draw_here(std::span(rows).subspan(begin, std::min(at_once, rows.size() - begin)), step), step});
}

/// The CPU makes one part ready and deals with what was drawn for another while the processor computes.
void Decoder::advance_in_parts(Population* population, std::uint32_t step, std::size_t made) {
  const Stopwatch watch;
  const auto next_rows = [&] {
    std::vector<Row> rows = distinct_rows(population, made);
    if (!rows.empty() || !under_way_ || under_way_->made == made) return rows;
    settle();
    return distinct_rows(population, made);
  };
  std::vector<Row> rows = next_rows();
  const auto parts = static_cast<std::size_t>(part_count_.parts());
  const std::size_t at_once = (rows.size() + (under_way_ ? under_way_->rows.size() : 0) + parts - 1) / parts;
  for (; !rows.empty(); rows = next_rows()) {
    rows.resize(std::min(rows.size(), at_once));
    Part next = prepare(std::move(rows), step, made);
    const Draws before = finish();
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

std::vector<Decoder::Row> Decoder::distinct_rows(Population* population, std::size_t made) {
  std::vector<Row> rows;
  std::unordered_map<ContextId, std::size_t> row_of;
  for (Particle& particle : population->particles()) {
    if (particle.status != Status::growing || particle.waiting || particle.drawing ||
        particle.increments.size() != made)
      continue;
    const ContextId context = particle.context.id();
    const auto [at, is_new] = row_of.try_emplace(context, rows.size());
    if (is_new) rows.push_back({context, {}});
    rows[at->second].particles.push_back(&particle);
  }
  return rows;
}

void Decoder::apply(const Draws& made) {
  const ScopedTimer timer(&seconds_.potentials);
  parallel_for(made.draws.size(), [&](std::size_t i) { apply(made.draws[i], made.step); });
  for (const Draw& one : made.draws) move_context(one);
  particle_tokens_ += made.draws.size();
}

std::vector<Decoder::Draw> Decoder::draw_here(std::span<const Row> rows, std::uint32_t step) {
  forward(rows);
  const ScopedTimer timer(&seconds_.potentials);
  const auto row_size = static_cast<std::size_t>(vocabulary_.size());
  std::vector<std::vector<Draw>> by_row(rows.size());
  parallel_for(rows.size(), [&](std::size_t i) {
    by_row[i] = draw(rows[i], std::span(logits_).subspan(i * row_size, row_size), step);
  });
  std::vector<Draw> draws;
  for (const auto& row : by_row) draws.insert(draws.end(), row.begin(), row.end());
  return draws;
}

Decoder::Part Decoder::prepare(std::vector<Row> rows, std::uint32_t step, std::size_t made) {
  count_contexts(rows.size(), step);
  const ScopedTimer timer(&seconds_.potentials);
  Part part{std::move(rows), {}, step, made};
  part.sampled.resize(part.rows.size());
  parallel_for(part.rows.size(), [&](std::size_t i) {
    const Row& row = part.rows[i];
    const Particle& first = *row.particles.front();
    part.sampled[i].context = row.context;
    part.sampled[i].allowed = proposal_->allowed({first.states, first.stop_state});
    for (const Particle* particle : row.particles)
      part.sampled[i].uniforms.push_back(random_uniform(key_, step, particle->id, Purpose::token));
  });
  return part;
}

void Decoder::start(Part part) {
  const ScopedTimer timer(&seconds_.forward);
  under_way_ = std::move(part);
  for (const Row& row : under_way_->rows)
    for (Particle* particle : row.particles) particle->drawing = true;
  tree_->start_sampling(sampling_, under_way_->sampled);
}

Decoder::Draws Decoder::finish() {
  if (!under_way_) return {};
  {
    const ScopedTimer timer(&seconds_.forward);
    tree_->finish_sampling();
  }
  const Part part = std::move(*std::exchange(under_way_, std::nullopt));
  Draws made{{}, part.step};
  for (std::size_t i = 0; i < part.rows.size(); ++i) {
    const auto of_row = draws_of(part.rows[i], part.sampled[i]);
    made.draws.insert(made.draws.end(), of_row.begin(), of_row.end());
  }
  return made;
}

std::vector<Decoder::Draw> Decoder::draws_of(const Row& row, const ContextDraws& sampled) {
  std::vector<Draw> draws;
  for (std::size_t i = 0; i < row.particles.size(); ++i) {
    Draw one;
    one.particle = row.particles[i];
    if (one.particle->tokens.size() >= max_tokens_) {
      one.outcome = Outcome::forced_end;
      one.increment = {sampled.log_end, model_culprit};
    } else if (!std::isfinite(sampled.log_mass)) {
      one.increment = {sampled.log_mass, draws.empty() ? culprit(row) : draws.front().increment.culprit()};
    } else {
      one.outcome = sampled.tokens[i] ? Outcome::token : Outcome::end;
      one.token = sampled.tokens[i].value_or(TokenId{});
      one.increment = {sampled.log_mass, model_culprit};
    }
    draws.push_back(one);
  }
  return draws;
}

/// Fetches the logits after all: this happens once in a while.
Culprit Decoder::culprit(const Row& row) {
  forward({&row, 1});
  const Particle& first = *row.particles.front();
  return culprit(std::span(logits_).first(static_cast<std::size_t>(vocabulary_.size())),
                 {first.states, first.stop_state});
}

void Decoder::forward(std::span<const Row> rows) {
  const ScopedTimer timer(&seconds_.forward);
  std::vector<ContextId> contexts;
  for (const Row& row : rows) contexts.push_back(row.context);
  logits_.resize(std::max(logits_.size(), rows.size() * static_cast<std::size_t>(vocabulary_.size())));
  tree_->forward(contexts, std::span(logits_).first(rows.size() * static_cast<std::size_t>(vocabulary_.size())));
}

std::vector<Decoder::Draw> Decoder::draw(const Row& row, std::span<float> logits, std::uint32_t step) const {
  const Particle& first = *row.particles.front();
  const ContextView view{first.states, first.stop_state};
  const TokenDistribution q = proposal_->distribution(logits, view);
  std::vector<Draw> draws;
  for (Particle* particle : row.particles) {
    Draw one;
    one.particle = particle;
    if (particle->tokens.size() >= max_tokens_) {
      one.outcome = Outcome::forced_end;
      one.increment = {q.log_end(), model_culprit};
    } else if (!std::isfinite(q.log_mass())) {
      one.increment = {q.log_mass(), draws.empty() ? culprit(logits, view) : draws.front().increment.culprit()};
    } else {
      const auto token = q.draw(random_uniform(key_, step, particle->id, Purpose::token));
      one.outcome = token ? Outcome::token : Outcome::end;
      one.token = token.value_or(TokenId{});
      one.increment = {q.log_mass(), model_culprit};
    }
    draws.push_back(one);
  }
  return draws;
}

Culprit Decoder::culprit(std::span<const float> logits, const ContextView& context) const {
  const Potential* potential = proposal_->culprit(logits, context);
  const auto at = std::find_if(potentials_.begin(), potentials_.end(),
                               [&](const PotentialPtr& candidate) { return candidate.get() == potential; });
  return at == potentials_.end() ? model_culprit : static_cast<Culprit>(at - potentials_.begin());
}

void Decoder::apply(const Draw& draw, std::uint32_t step) const {
  draw.particle->drawing = false;
  switch (draw.outcome) {
    case Outcome::token:
      return growth_.append(draw.particle, draw.token, draw.increment, step);
    case Outcome::end:
      return growth_.complete(draw.particle, Status::ended, draw.increment, step);
    case Outcome::forced_end:
      return growth_.complete(draw.particle, Status::forced, draw.increment, step);
    case Outcome::nothing:
      return Growth::finish_step(draw.particle, draw.increment, step);
  }
}

void Decoder::move_context(const Draw& draw) const {
  ContextReference& context = draw.particle->context;
  if (draw.particle->status == Status::growing && draw.outcome == Outcome::token)
    context = ContextReference(tree_, tree_->extend(context.id(), draw.token));
  else
    context.reset();
}

void Decoder::evaluate_expensive(Population* population, std::uint32_t step) {
  const ScopedTimer timer(&seconds_.potentials);
  // Equal token sequences are evaluated once.
  std::map<std::pair<std::vector<TokenId>, Status>, std::vector<Particle*>> groups;
  for (Particle& particle : population->particles()) {
    particle.expensive_increment = 0.0;
    if (particle.increments.empty() || particle.status == Status::dead) continue;
    groups[{particle.tokens, particle.status}].push_back(&particle);
  }
  std::vector<std::span<Particle* const>> work;
  for (const auto& [key, equal] : groups) work.emplace_back(equal);
  for (std::size_t k = 0; k < potentials_.size(); ++k) {
    if (potentials_[k]->cost() == Cost::cheap) continue;
    parallel_for(work.size(), [&](std::size_t i) {
      Particle* first = work[i].front();
      if (first->expensive_increment == -std::numeric_limits<double>::infinity()) return;
      growth_.evaluate_expensive(k, first, step);
      for (Particle* other : work[i].subspan(1)) {
        other->states[k] = first->states[k];
        other->values[k] = first->values[k];
        Growth::add_expensive(k, other, step);
      }
    });
  }
}

void Decoder::cut(Population* population, std::size_t tokens) const {
  for (Particle& particle : population->particles()) growth_.restore(&particle, tokens);
}

}  // namespace shoal::smc
