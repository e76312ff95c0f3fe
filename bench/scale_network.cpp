#include "scale_network.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <queue>

namespace shoal::bench {
namespace {

/// Parcels in the order of their events: they start, then they arrive.
class Traffic {
 public:
  Traffic(std::span<const Parcel> parcels, const Network& network,
          const std::function<double(std::size_t, double)>& forwards)
      : parcels_(parcels),
        network_(network),
        forwards_(forwards),
        ranks_(network.nodes.size()),
        on_(4 * ranks_),
        flows_(parcels.size()),
        next_(parcels.size()) {
    for (std::size_t k = 0; k < parcels.size(); ++k)
      if (parcels[k].after == Parcel::none)
        events_.push({0.0, k, 0});
      else
        next_[parcels[k].after].push_back(k);
  }

  std::vector<double> run() {
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      Flow& flow = flows_[event.parcel];
      if (event.version != flow.version) continue;
      if (flow.active)
        end(event.parcel, event.time);
      else
        begin(event.parcel, event.time);
    }
    std::vector<double> times;
    for (const Flow& flow : flows_) times.push_back(flow.arrived);
    return times;
  }

 private:
  struct Event {
    double time;
    std::size_t parcel;
    std::uint32_t version;  ///< of the flow; outdated events are left out
    bool operator<(const Event& other) const { return time != other.time ? time > other.time : parcel > other.parcel; }
  };
  struct Flow {
    double left = 0.0;  ///< bytes, at time since
    double since = 0.0;
    double rate = 0.0;
    double arrived = 0.0;
    std::uint32_t version = 0;
    bool active = false;
  };

  [[nodiscard]] bool is_far(const Parcel& p) const { return network_.nodes[p.from] != network_.nodes[p.to]; }
  /// What the parcel leaves, and what it reaches: cards by node, then ranks inside nodes.
  [[nodiscard]] std::array<std::size_t, 2> links_of(const Parcel& p) const {
    if (is_far(p))
      return {static_cast<std::size_t>(network_.nodes[p.from]),
              ranks_ + static_cast<std::size_t>(network_.nodes[p.to])};
    return {2 * ranks_ + p.from, 3 * ranks_ + p.to};
  }

  void begin(std::size_t k, double now) {
    Flow& flow = flows_[k];
    flow.active = true;
    flow.left = parcels_[k].bytes;
    flow.since = now;
    for (const std::size_t link : links_of(parcels_[k])) on_[link].push_back(k);
    share(k, now);
  }

  void end(std::size_t k, double now) {
    Flow& flow = flows_[k];
    ++flow.version;
    flow.arrived = now + (is_far(parcels_[k]) ? network_.latency_s : 0.0);
    for (const std::size_t link : links_of(parcels_[k])) std::erase(on_[link], k);
    share(k, now);
    for (const std::size_t n : next_[k]) events_.push({forwards_(parcels_[n].from, flow.arrived), n, 0});
  }

  /// New rates for all that share a link with parcel @p k.
  void share(std::size_t k, double now) {
    const double capacity = is_far(parcels_[k]) ? network_.bandwidth : network_.node_bandwidth;
    for (const std::size_t link : links_of(parcels_[k])) {
      for (const std::size_t other : on_[link]) {
        Flow& flow = flows_[other];
        flow.left -= (now - flow.since) * flow.rate;
        flow.since = now;
        const auto [out, in] = links_of(parcels_[other]);
        flow.rate = capacity / static_cast<double>(std::max(on_[out].size(), on_[in].size()));
        events_.push({now + std::max(0.0, flow.left) / flow.rate, other, ++flow.version});
      }
    }
  }

  std::span<const Parcel> parcels_;
  const Network& network_;
  const std::function<double(std::size_t, double)>& forwards_;
  std::size_t ranks_;
  std::vector<std::vector<std::size_t>> on_;  ///< by link: the parcels that it is busy with
  std::vector<Flow> flows_;
  std::vector<std::vector<std::size_t>> next_;  ///< by parcel: those that wait for it
  std::priority_queue<Event> events_;
};

}  // namespace

std::vector<double> arrivals(std::span<const Parcel> parcels, const Network& network,
                             const std::function<double(std::size_t, double)>& forwards) {
  return Traffic(parcels, network, forwards).run();
}

}  // namespace shoal::bench
