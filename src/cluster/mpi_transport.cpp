#include "cluster/mpi_transport.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "base/bytes.hpp"
#include "cluster/links.hpp"
#include "cluster/stop_signal.hpp"

namespace shoal::cluster {

/// What travels between this rank and one other.
struct Route {
  Rank peer;
  std::vector<LogicalId> parents;
  std::string bytes;  ///< the parents' states; at the receiver room for them
};

namespace {

constexpr Rank root{0};
constexpr int size_tag = 1;
constexpr int state_tag = 2;
constexpr int gather_tag = 3;

/// This rank's routes in one direction, in the plan's order.
std::vector<Route> routes(std::span<const Transfer> transfers, Rank mine, Rank Transfer::*here, Rank Transfer::*there) {
  std::vector<Route> routes;
  for (const Transfer& transfer : transfers) {
    if (transfer.*here != mine) continue;
    if (routes.empty() || routes.back().peer != transfer.*there) routes.push_back({transfer.*there, {}, {}});
    routes.back().parents.push_back(transfer.parent);
  }
  return routes;
}

void pack_states(const std::function<std::string(LogicalId)>& pack, std::vector<Route>* outgoing) {
  for (Route& route : *outgoing) {
    ByteWriter out;
    for (const LogicalId parent : route.parents) {
      out.put(parent);
      out.put_string(pack(parent));
    }
    route.bytes = out.take();
  }
}

void unpack_states(const std::string& bytes, std::vector<smc::Arrival>* arrivals) {
  for (ByteReader in(bytes); !in.empty();) {
    const auto parent = in.get<LogicalId>();
    arrivals->push_back({parent, std::string(in.get_string())});
  }
}

std::string to_bytes(std::uint64_t size) {
  ByteWriter out;
  out.put(size);
  return out.take();
}

void make_room(std::span<const Message> sizes, std::vector<Route>* incoming) {
  for (std::size_t k = 0; k < incoming->size(); ++k)
    (*incoming)[k].bytes.resize(ByteReader(sizes[k].bytes()).get<std::uint64_t>());
}

std::uint64_t total_size(std::span<const Route> routes) {
  std::uint64_t total = 0;
  for (const Route& route : routes) total += route.bytes.size();
  return total;
}

template <class Action>
std::exception_ptr attempt(const Action& action) {
  try {
    action();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

bool all_done(Request& request) { return request.done(); }
bool all_done(std::vector<Message>& messages) {
  return std::all_of(messages.begin(), messages.end(), [](Message& message) { return message.done(); });
}

}  // namespace

MpiTransport::MpiTransport(World& world, std::optional<double> timeout_s)
    : links_(&world.links()), stop_(std::make_unique<StopSignal>(links_, timeout_s)) {}
MpiTransport::~MpiTransport() = default;

Rank MpiTransport::rank() const { return links_->rank; }
int MpiTransport::size() const { return links_->size; }

/// Polled between tokens, so it is also where a rank shows that it lives.
bool MpiTransport::deadline_passed() {
  links_->heartbeat.beat();
  return stop_->passed();
}

/// Rank 0 may wait while the others compute: it has to tell them of the deadline meanwhile.
template <class Operations>
void MpiTransport::wait(Operations& operations) {
  Heartbeat::Watch watch(&links_->heartbeat);
  for (const Pause pause(links_->idle); !all_done(operations); pause.rest()) {
    (void)stop_->passed();
    watch.look();
  }
}

void MpiTransport::allreduce_max(std::span<double> values) {
  Request request;
  check(MPI_Iallreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_MAX,
                       links_->data.get(), request.out()),
        "MPI_Iallreduce");
  wait(request);
}

smc::Exchange MpiTransport::exchange(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                     const std::function<std::string(LogicalId)>& pack) {
  MigrationPlan plan = plan_migration(ancestors, owners, size());
  smc::Exchange exchange;
  exchange.stats = plan.stats;
  exchange.births = births_on(rank(), ancestors, plan.owners);
  if (!plan.transfers.empty()) exchange.arrivals = carry_out(plan.transfers, pack, &exchange.stats.bytes);
  exchange.owners = std::move(plan.owners);
  return exchange;
}

/// States travel only once every rank has packed its own and made room for the others'.
std::vector<smc::Arrival> MpiTransport::carry_out(std::span<const Transfer> transfers,
                                                  const std::function<std::string(LogicalId)>& pack,
                                                  std::uint64_t* bytes) {
  std::vector<Route> outgoing = routes(transfers, rank(), &Transfer::from, &Transfer::to);
  std::vector<Route> incoming = routes(transfers, rank(), &Transfer::to, &Transfer::from);
  std::exception_ptr failure = attempt([&] { pack_states(pack, &outgoing); });
  const std::vector<Message> sizes = exchange_sizes(outgoing, incoming);
  if (!failure) failure = attempt([&] { make_room(sizes, &incoming); });
  *bytes = agree_on_bytes(total_size(outgoing), failure);

  std::vector<Message> states;
  states.reserve(incoming.size() + outgoing.size());
  for (Route& route : incoming)
    states.push_back(Message::receive(std::move(route.bytes), route.peer, state_tag, links_->data));
  for (Route& route : outgoing)
    states.push_back(Message::send(std::move(route.bytes), route.peer, state_tag, links_->data));
  wait(states);

  std::vector<smc::Arrival> arrivals;
  for (std::size_t k = 0; k < incoming.size(); ++k) unpack_states(states[k].take(), &arrivals);
  return arrivals;
}

/// The sizes of what arrives come first in the result, by route.
std::vector<Message> MpiTransport::exchange_sizes(std::span<const Route> outgoing, std::span<const Route> incoming) {
  std::vector<Message> sizes;
  sizes.reserve(incoming.size() + outgoing.size());
  for (const Route& route : incoming)
    sizes.push_back(Message::receive(to_bytes(0), route.peer, size_tag, links_->data));
  for (const Route& route : outgoing)
    sizes.push_back(Message::send(to_bytes(route.bytes.size()), route.peer, size_tag, links_->data));
  wait(sizes);
  return sizes;
}

/// @throws the failure, or PeerError if another rank has one
/// @return bytes that travel between all ranks
std::uint64_t MpiTransport::agree_on_bytes(std::uint64_t mine, const std::exception_ptr& failure) {
  std::array<std::uint64_t, 2> sums{mine, failure ? 1U : 0U};
  Request request;
  check(
      MPI_Iallreduce(MPI_IN_PLACE, sums.data(), sums.size(), MPI_UINT64_T, MPI_SUM, links_->data.get(), request.out()),
      "MPI_Iallreduce");
  wait(request);
  if (failure) std::rethrow_exception(failure);
  if (sums[1] > 0) throw smc::PeerError("another rank failed as particles were exchanged");
  return sums[0];
}

std::vector<std::string> MpiTransport::gather(std::string_view mine) {
  const std::uint64_t my_size = mine.size();
  std::vector<std::uint64_t> sizes(static_cast<std::size_t>(size()));
  Request request;
  check(MPI_Igather(&my_size, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, root.value(), links_->data.get(),
                    request.out()),
        "MPI_Igather");
  wait(request);

  std::vector<Message> messages;
  if (rank() != root) {
    messages.push_back(Message::send(std::string(mine), root, gather_tag, links_->data));
    wait(messages);
    return {};
  }
  for (int r = 1; r < size(); ++r)
    messages.push_back(
        Message::receive(std::string(sizes[static_cast<std::size_t>(r)], '\0'), Rank{r}, gather_tag, links_->data));
  wait(messages);
  std::vector<std::string> gathered{std::string(mine)};
  for (Message& message : messages) gathered.push_back(message.take());
  return gathered;
}

}  // namespace shoal::cluster
