#include "cluster/mpi_transport.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "cluster/links.hpp"
#include "cluster/stop_signal.hpp"
#include "smc/joint_steps.hpp"

namespace shoal::cluster {

namespace {

constexpr Rank root{0};
constexpr int parcel_tag = 2;
constexpr int gather_tag = 3;

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
int MpiTransport::node_of(Rank rank) const { return links_->nodes[static_cast<std::size_t>(rank.value())]; }

/// Polled between tokens, so it is also where a rank shows that it lives.
bool MpiTransport::deadline_passed() {
  links_->heartbeat.beat();
  return stop_->passed();
}

std::function<void()> MpiTransport::vigil() {
  return [this, watch = Heartbeat::Watch(&links_->heartbeat)]() mutable {
    (void)stop_->passed();
    links_->push_adopted();
    watch.look();
  };
}

template <class Operations>
void MpiTransport::wait(Operations& operations) {
  const auto look = vigil();
  for (const Pause pause(links_->idle); !all_done(operations); pause.rest()) look();
}

void MpiTransport::allreduce_max(std::span<double> values) {
  Request request;
  check(MPI_Iallreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_MAX,
                       links_->data.get(), request.out()),
        "MPI_Iallreduce");
  wait(request);
}

smc::MigrationPlan MpiTransport::plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                      double spare) const {
  return plan_migration(ancestors, owners, links_->nodes, spare);
}

/// Sends that are not done when it ends are left to the Links.
class MpiTransport::Voyage final : public smc::Shipment {
 public:
  Voyage(MpiTransport* transport, std::vector<smc::Parcel> outgoing, std::vector<smc::Parcel> incoming)
      : transport_(transport) {
    const Communicator& comm = transport->links_->data;
    incoming_.reserve(incoming.size());
    outgoing_.reserve(outgoing.size());
    for (smc::Parcel& parcel : incoming)
      incoming_.push_back(Message::receive(std::move(parcel.bytes), parcel.peer, parcel_tag, comm));
    for (smc::Parcel& parcel : outgoing)
      outgoing_.push_back(Message::send(std::move(parcel.bytes), parcel.peer, parcel_tag, comm));
  }
  ~Voyage() override {
    try {
      for (auto* messages : {&incoming_, &outgoing_})
        for (Message& message : *messages) transport_->links_->adopt(std::move(message));
    } catch (const std::exception&) {
      return;  // MPI is broken: the run's own calls say so
    }
  }
  Voyage(const Voyage&) = delete;
  Voyage& operator=(const Voyage&) = delete;

  bool arrived() override {
    (void)all_done(outgoing_);
    return all_done(incoming_);
  }
  void wait(const std::function<bool()>& stop) override {
    const auto look = transport_->vigil();
    const auto done = [&] { return all_done(incoming_) && all_done(outgoing_); };
    for (const Pause pause(transport_->links_->idle); !done() && !stop(); pause.rest()) look();
  }
  std::vector<std::string> take() override {
    std::vector<std::string> taken;
    for (Message& message : incoming_) taken.push_back(message.take());
    return taken;
  }

 private:
  MpiTransport* transport_;
  std::vector<Message> incoming_;
  std::vector<Message> outgoing_;
};

std::unique_ptr<smc::Shipment> MpiTransport::ship(std::vector<smc::Parcel> outgoing,
                                                  std::vector<smc::Parcel> incoming) {
  return std::make_unique<Voyage>(this, std::move(outgoing), std::move(incoming));
}

std::vector<std::string> MpiTransport::gather(std::string_view mine) {
  const std::uint64_t my_size = mine.size();
  std::vector<std::uint64_t> sizes(static_cast<std::size_t>(size()));
  Request request;
  check(MPI_Igather(&my_size, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, root.value(), links_->data.get(),
                    request.out()),
        "MPI_Igather");
  wait(request);

  std::vector<std::string> buffers;  // this rank's own, and on the root those of the others
  smc::JointSteps steps(this);
  steps.attempt([&] {
    buffers.emplace_back(mine);
    for (int r = 1; r < size() && rank() == root; ++r) buffers.emplace_back(sizes[static_cast<std::size_t>(r)], '\0');
  });
  steps.agree();

  std::vector<Message> messages;
  if (rank() != root) {
    messages.push_back(Message::send(std::move(buffers.front()), root, gather_tag, links_->data));
    wait(messages);
    return {};
  }
  for (int r = 1; r < size(); ++r)
    messages.push_back(
        Message::receive(std::move(buffers[static_cast<std::size_t>(r)]), Rank{r}, gather_tag, links_->data));
  wait(messages);
  std::vector<std::string> gathered;
  gathered.push_back(std::move(buffers.front()));
  for (Message& message : messages) gathered.push_back(message.take());
  return gathered;
}

}  // namespace shoal::cluster
