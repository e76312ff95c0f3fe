#include "smc/migration.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "base/stopwatch.hpp"
#include "smc/context_rebuild.hpp"

namespace shoal::smc {
namespace {

constexpr std::size_t size_bytes = sizeof(std::uint64_t);
constexpr std::size_t answer_bytes = sizeof(std::uint32_t) + sizeof(std::uint64_t);

std::uint64_t missing_bytes(std::span<const ExpectedContext> contexts) {
  std::uint64_t bytes = 0;
  for (const ExpectedContext& context : contexts) bytes += context.bytes;
  return bytes;
}

void append(const std::vector<std::span<std::byte>>& blocks, std::vector<std::span<std::byte>>* to) {
  to->insert(to->end(), blocks.begin(), blocks.end());
}

}  // namespace

std::vector<Birth> births_on(Rank rank, std::span<const LogicalId> ancestors, std::span<const Rank> owners) {
  std::vector<Birth> births;
  for (std::uint32_t child = 0; child < ancestors.size(); ++child)
    if (owners[child] == rank) births.push_back({LogicalId{child}, ancestors[child]});
  return births;
}

std::uint64_t Migration::Route::size() const {
  std::uint64_t sum = bytes.size();
  for (const auto& block : blocks) sum += block.size();
  return sum;
}

/// This rank's routes in one direction, in the plan's order.
Migration::Routes Migration::routes(std::span<const Transfer> transfers, Rank mine, Rank Transfer::*here,
                                    Rank Transfer::*there) {
  Routes routes;
  for (const Transfer& transfer : transfers) {
    if (transfer.*here != mine) continue;
    if (routes.empty() || routes.back().peer != transfer.*there)
      routes.push_back({.peer = transfer.*there, .relayed = transfer.relayed});
    routes.back().parents.push_back(transfer.parent);
  }
  return routes;
}

Migration::Migration(std::span<const Transfer> transfers, const Population& population, ContextTree* tree,
                     Transport* transport)
    : tree_(tree),
      transport_(transport),
      outgoing_(routes(transfers, transport->rank(), &Transfer::from, &Transfer::to)),
      incoming_(routes(transfers, transport->rank(), &Transfer::to, &Transfer::from)) {
  const auto first_relayed =
      std::stable_partition(outgoing_.begin(), outgoing_.end(), [](const Route& route) { return !route.relayed; });
  own_ = static_cast<std::size_t>(first_relayed - outgoing_.begin());
  attempt([&] {
    for (Route& route : own()) pack_particles(&route, population);
  });
}

template <class Action>
void Migration::attempt(const Action& action) {
  if (failure_) return;
  try {
    action();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void Migration::pack_particles(Route* route, const Population& population) const {
  ByteWriter out;
  for (const LogicalId parent : route->parents) {
    const History& history = population.at(parent);
    put(history, &out);
    route->contexts.push_back(history.context);
    route->computed.push_back(history.context ? tree_->computed(history.context.id()) : 0);
    out.put(route->computed.back());
  }
  route->bytes = out.take();
}

void Migration::trade(Migrate how, std::size_t vocabulary_size) {
  exchange_sizes();
  if (some_rank_failed()) return;
  exchange_particles();
  attempt([&] {
    for (Route& route : incoming_) unpack_particles(&route);
  });
  if (how == Migrate::tokens) {
    attempt([&] { rebuild_growing(tree_, vocabulary_size, arrivals_.histories); });
  } else {
    attempt([&] { expect_contexts(); });
    attempt([&] { take_relayed_contexts(); });
    ask_for_blocks();
    attempt([&] {
      for (Route& route : outgoing_) gather_outgoing_blocks(&route);
      for (Route& route : incoming_) make_room_for_blocks(&route);
    });
  }
  for (Route& route : outgoing_) {
    bytes_ += route.size();
    if (route.blocks.empty() && !route.relayed) route.contexts.clear();
  }
}

/// Those that relay wait for their own first.
void Migration::exchange_sizes() {
  const auto sizes_of = [](RouteSpan routes) {
    Routes sizes;
    for (const Route& route : routes) {
      ByteWriter size;
      size.put<std::uint64_t>(route.bytes.size());
      sizes.push_back({.peer = route.peer, .bytes = size.take()});
    }
    return sizes;
  };
  Routes from = sizes_of(own());
  Routes to = sizes_of(incoming_);
  exchange(from, to);
  attempt([&] {
    for (std::size_t k = 0; k < incoming_.size(); ++k)
      incoming_[k].bytes.assign(ByteReader(to[k].bytes).get<std::uint64_t>(), '\0');
    for (Route& route : relayed()) route.bytes.assign(incoming_.front().bytes.size(), '\0');
  });
  Routes onwards = sizes_of(relayed());
  exchange(onwards, {});
}

void Migration::exchange_particles() {
  exchange(own(), incoming_);
  for (Route& route : relayed()) std::copy_n(incoming_.front().bytes.begin(), route.bytes.size(), route.bytes.begin());
  exchange(relayed(), {});
}

/// Collective.
bool Migration::some_rank_failed() {
  double failed = failure_ ? 1.0 : 0.0;
  transport_->allreduce_max({&failed, 1});
  return failed > 0.0;
}

void Migration::unpack_particles(Route* route) {
  ByteReader in(route->bytes);
  for (const LogicalId parent : route->parents) {
    arrivals_.parents.push_back(parent);
    get(&in, &arrivals_.histories.emplace_back());
    route->computed.push_back(in.get<std::uint32_t>());
  }
  route->bytes.clear();
}

void Migration::expect_contexts() {
  auto history = arrivals_.histories.begin();
  for (Route& route : incoming_) {
    for (std::size_t k = 0; k < route.parents.size(); ++k, ++history) {
      route.expected.emplace_back();
      if (history->status != Status::growing) continue;
      route.expected.back() = tree_->expect(history->tokens, route.computed[k]);
      history->context = ContextReference(tree_, route.expected.back().context);
    }
  }
  const bool complete = std::all_of(incoming_.begin(), incoming_.end(),
                                    [](const Route& route) { return missing_bytes(route.expected) == 0; });
  for (History& arrival : arrivals_.histories) arrival.waiting = !complete && arrival.status == Status::growing;
}

/// What a rank relays is all that it receives: one particle.
void Migration::take_relayed_contexts() {
  if (!relayed().empty()) SHOAL_EXPECT(incoming_.size() == 1 && incoming_.front().parents.size() == 1);
  for (Route& route : relayed()) {
    for (const History& arrival : arrivals_.histories) route.contexts.push_back(arrival.context);
    route.computed = incoming_.front().computed;
  }
}

/// Receivers answer their senders, who then know what to pack.
void Migration::ask_for_blocks() {
  for (Route& route : incoming_) {
    route.expected.resize(failure_ ? 0 : route.parents.size());
    ByteWriter answer;
    for (const ExpectedContext& expected : route.expected) {
      answer.put(expected.first_block);
      answer.put(expected.bytes);
    }
    route.bytes = answer.take();
    route.bytes.resize(route.parents.size() * answer_bytes, '\0');
  }
  for (Route& route : outgoing_) route.bytes.assign(route.parents.size() * answer_bytes, '\0');
  exchange(incoming_, outgoing_);
}

/// Where bytes are packed: of what is relayed their number only, since its blocks are still to come.
void Migration::gather_outgoing_blocks(Route* route) const {
  const std::string answers = std::exchange(route->bytes, {});
  ByteReader answer(answers);
  for (std::size_t k = 0; k < route->parents.size(); ++k) {
    route->first_blocks.push_back(answer.get<std::uint32_t>());
    const auto missing = answer.get<std::uint64_t>();
    if (missing == 0) {
      route->contexts[k].reset();
      continue;
    }
    const ContextId context = route->contexts[k].id();
    if (transport_->reaches_blocks())
      append(tree_->blocks(context, route->first_blocks[k], route->computed[k]), &route->blocks);
    else if (route->relayed)
      route->bytes.resize(route->bytes.size() + missing, '\0');
    else
      route->bytes += tree_->pack(context, route->first_blocks[k], route->computed[k]);
  }
}

void Migration::make_room_for_blocks(Route* route) const {
  if (!transport_->reaches_blocks()) {
    route->bytes.assign(missing_bytes(route->expected), '\0');
    return;
  }
  for (std::size_t k = 0; k < route->expected.size(); ++k)
    if (const ExpectedContext& expected = route->expected[k]; expected.bytes > 0)
      append(tree_->blocks(expected.context, expected.first_block, route->computed[k]), &route->blocks);
}

void Migration::ship() {
  const auto travels = [](const Route& route) { return route.size() > 0; };
  if (std::any_of(own().begin(), own().end(), travels) || std::any_of(incoming_.begin(), incoming_.end(), travels))
    shipment_ = start(own(), incoming_);
}

std::unique_ptr<Shipment> Migration::start(RouteSpan from, RouteSpan to) {
  std::vector<Parcel> outgoing;
  std::vector<Parcel> incoming;
  for (Route& route : from) outgoing.push_back({route.peer, std::move(route.bytes), std::move(route.blocks)});
  for (Route& route : to) incoming.push_back({route.peer, std::move(route.bytes), std::move(route.blocks)});
  return transport_->ship(std::move(outgoing), std::move(incoming));
}

/// Waits for what comes.
void Migration::exchange(RouteSpan from, RouteSpan to) {
  for (const Route& route : from) bytes_ += route.bytes.size();
  const auto shipment = start(from, to);
  shipment->wait([] { return false; });
  std::vector<std::string> arrived = shipment->take();
  for (std::size_t k = 0; k < to.size(); ++k) to[k].bytes = std::move(arrived[k]);
  for (Route& route : from) route.bytes.clear();
}

bool Migration::poll() {
  if (shipment_ && !shipment_->arrived()) return false;
  if (!filled_) fill_contexts();
  if (!relay_)
    start_relaying();
  else if (relay_->arrived())
    for (Route& route : relayed()) route.contexts.clear();
  return true;
}

void Migration::wait(const std::function<bool()>& stop) {
  if (shipment_) shipment_->wait([&] { return shipment_->arrived() || stop(); });
  (void)poll();
}

bool Migration::linger(double seconds) {
  Shipment* travelling = relay_ ? relay_.get() : shipment_.get();
  if (travelling == nullptr) return true;
  const Stopwatch watch;
  bool late = false;
  travelling->wait([&] { return late = watch.seconds() >= seconds; });
  return !late;
}

void Migration::fill_contexts() {
  filled_ = true;
  for (Route& route : own()) route.contexts.clear();
  if (!shipment_ || transport_->reaches_blocks()) return;
  const std::vector<std::string> arrived = shipment_->take();
  for (std::size_t r = 0; r < incoming_.size(); ++r) {
    std::string_view rest = arrived[r];
    for (const ExpectedContext& expected : incoming_[r].expected) {
      if (expected.bytes == 0) continue;  // was complete: it may have been used and released since
      tree_->unpack(expected, rest.substr(0, expected.bytes));
      rest.remove_prefix(expected.bytes);
    }
  }
}

void Migration::pass_on() {
  if (relayed().empty() || relay_) return;
  if (shipment_) shipment_->wait([&] { return shipment_->arrived(); });
  attempt([&] {
    if (!filled_) fill_contexts();
  });
  start_relaying();
}

/// If packing fails, what is sent is of no use, but nobody waits for it; the ranks will hear of it when they next
/// agree.
void Migration::start_relaying() {
  if (relayed().empty()) return;
  attempt([&] {
    for (Route& route : relayed())
      if (!route.bytes.empty())
        route.bytes = tree_->pack(route.contexts.front().id(), route.first_blocks.front(), route.computed.front());
  });
  relay_ = start(relayed(), {});
}

}  // namespace shoal::smc
