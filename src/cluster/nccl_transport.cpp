#include "cluster/nccl_transport.hpp"

#include <algorithm>

#include "cluster/links.hpp"

namespace shoal::cluster {
namespace {

std::vector<lm::GpuParcel> gpu_parcels(std::span<const smc::Parcel> parcels) {
  std::vector<lm::GpuParcel> pieces;
  for (const smc::Parcel& parcel : parcels)
    for (const std::span<std::byte> block : parcel.blocks)
      pieces.push_back({parcel.peer.value(), block.data(), block.size()});
  return pieces;
}

}  // namespace

void NcclTransport::allreduce_max(std::span<double> values) { gpus_->allreduce_max(values, vigil()); }

/// Blocks in the air. One group of NCCL's, so that what leaves and what arrives are done together.
class NcclTransport::Flight final : public smc::Shipment {
 public:
  Flight(NcclTransport* transport, std::span<const lm::GpuParcel> sends, std::span<const lm::GpuParcel> receives)
      : transport_(transport) {
    transport->gpus_->start_exchange(sends, receives, transport->vigil());
  }
  /// The blocks' memory is used again after it.
  ~Flight() override {
    try {
      wait([] { return false; });
    } catch (const std::exception&) {
      return;  // the links are broken: the run's own calls say so
    }
  }
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  bool arrived() override { return done_ = done_ || transport_->gpus_->exchange_done(); }
  void wait(const std::function<bool()>& stop) override {
    const auto look = transport_->vigil();
    for (const Pause pause(transport_->links_->idle); !arrived() && !stop(); pause.rest()) look();
  }
  std::vector<std::string> take() override { return {}; }

 private:
  NcclTransport* transport_;
  bool done_ = false;
};

std::unique_ptr<smc::Shipment> NcclTransport::ship(std::vector<smc::Parcel> outgoing,
                                                   std::vector<smc::Parcel> incoming) {
  const auto sends = gpu_parcels(outgoing), receives = gpu_parcels(incoming);
  if (sends.empty() && receives.empty()) return MpiTransport::ship(std::move(outgoing), std::move(incoming));
  return std::make_unique<Flight>(this, sends, receives);
}

std::unique_ptr<smc::Transport> make_transport(World& world, std::optional<double> timeout_s, lm::GpuLinks* gpus) {
  if (gpus != nullptr) return std::make_unique<NcclTransport>(world, timeout_s, gpus);
  return std::make_unique<MpiTransport>(world, timeout_s);
}

}  // namespace shoal::cluster
