// Faults of the simulated network, and one echo server that lives through all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/io/echo_server.h"
#include "tests/sim/sim_io_fixture.h"

namespace quorate::testing {
namespace {

using io::Stream;
using sim::CrashKind;
using sim::Fault;
using sim::LinkOptions;

// One end of a stream that keeps what it heard.
class Ear : public Stream::Handler {
 public:
  void OnData(absl::string_view data) override { received.append(data.data(), data.size()); }
  void OnEnd() override { ended = true; }
  void OnClose(const absl::Status& s) override {
    ++closed;
    status = s;
  }
  std::unique_ptr<Stream> stream;
  std::string received;
  bool ended = false;
  int closed = 0;
  absl::Status status;
};

class Machine {
 public:
  Machine(SimWorld* world, const std::string& name)
      : host(world->context(), &world->network(), name, {}) {
    env = host.Boot();
  }
  void Crash(CrashKind kind) {
    host.Crash(kind);
    pending.reset();
    ear.stream.reset();
    listener.reset();
  }
  sim::Host host;
  io::Env env;
  Ear ear;
  std::unique_ptr<io::Listener> listener;
  std::unique_ptr<io::PendingConnect> pending;
};

class SimNetworkTest : public ::testing::Test {
 protected:
  static constexpr Duration kGiveUp = Seconds(15);

  void Listen() {
    b_.host.Run([&] {
      auto listener = b_.env.network->Listen("b:80", [&](std::unique_ptr<Stream> stream) {
        b_.ear.stream = std::move(stream);
        b_.ear.stream->Start(&b_.ear);
      });
      ASSERT_TRUE(listener.ok()) << listener.status();
      b_.listener = *std::move(listener);
    });
  }
  void Connect() {
    a_.host.Run([&] {
      a_.pending = a_.env.network->Connect("b:80", [&](absl::StatusOr<std::unique_ptr<Stream>> s) {
        connect_status_ = s.status();
        if (!s.ok()) return;
        a_.ear.stream = *std::move(s);
        a_.ear.stream->Start(&a_.ear);
      });
    });
  }
  void ConnectPair() {
    Listen();
    Connect();
    ASSERT_TRUE(world_.RunUntil([&] { return a_.ear.stream && b_.ear.stream; }));
  }
  static void Say(Machine* from, const std::string& text) {
    from->host.Run([&] { from->ear.stream->Write(Bytes::Copy(text)); });
  }
  sim::Network& network() { return world_.network(); }

  SimWorld world_{11};
  Machine a_{&world_, "a"};
  Machine b_{&world_, "b"};
  absl::Status connect_status_ = absl::UnknownError("no outcome yet");
};

TEST_F(SimNetworkTest, APartitionStallsAStreamAndHealingDeliversEverythingOnce) {
  ConnectPair();
  network().BlockBoth(a_.host.id(), b_.host.id());
  for (int i = 0; i < 10; ++i) Say(&a_, std::to_string(i));
  world_.RunFor(Seconds(5));
  EXPECT_EQ(b_.ear.received, "");
  network().UnblockAll();
  world_.RunFor(Seconds(5));
  EXPECT_EQ(b_.ear.received, "0123456789");
  EXPECT_EQ(a_.ear.closed, 0);
  EXPECT_GT(world_.count(Fault::kStreamStall), 0u);
  EXPECT_EQ(world_.count(Fault::kPartition), 1u);
}

TEST_F(SimNetworkTest, ALongPartitionTimesOutTheWriterWhileTheReaderNoticesNothing) {
  ConnectPair();
  network().BlockBoth(a_.host.id(), b_.host.id());
  Say(&a_, "lost");
  world_.RunFor(kGiveUp + Seconds(1));
  EXPECT_EQ(a_.ear.closed, 1);
  EXPECT_TRUE(absl::IsUnavailable(a_.ear.status)) << a_.ear.status;
  EXPECT_EQ(b_.ear.closed, 0);
  EXPECT_FALSE(b_.ear.ended);
  network().UnblockAll();
  world_.RunFor(Seconds(30));
  EXPECT_EQ(b_.ear.closed, 0) << "half-open: nobody told it";
  Say(&b_, "anybody there?");
  world_.RunFor(Seconds(1));
  EXPECT_EQ(b_.ear.closed, 1);
  EXPECT_EQ(b_.ear.received, "");
}

TEST_F(SimNetworkTest, AOneWayPartitionDeliversButTheWriterHearsNoAcknowledgement) {
  ConnectPair();
  network().Block(b_.host.id(), a_.host.id());
  Say(&a_, "one way");
  world_.RunFor(Seconds(1));
  EXPECT_EQ(b_.ear.received, "one way");
  Say(&b_, "answer");
  world_.RunFor(kGiveUp + Seconds(1));
  EXPECT_EQ(a_.ear.received, "");
  EXPECT_EQ(a_.ear.closed, 1) << "no acknowledgement came";
  EXPECT_EQ(b_.ear.closed, 1);
  EXPECT_EQ(world_.count(Fault::kOneWayPartition), 1u);
}

TEST_F(SimNetworkTest, AShortOneWayPartitionIsSurvived) {
  ConnectPair();
  network().Block(b_.host.id(), a_.host.id());
  Say(&a_, std::string(3'000'000, 'x'));
  world_.RunFor(Seconds(3));
  EXPECT_LT(b_.ear.received.size(), 3'000'000u) << "the window must close";
  network().UnblockAll();
  world_.RunFor(kGiveUp * 2);
  EXPECT_EQ(b_.ear.received.size(), 3'000'000u);
  EXPECT_EQ(a_.ear.closed, 0);
}

TEST_F(SimNetworkTest, APowerLossLeavesThePeerHalfOpenUntilItWritesToTheRebootedMachine) {
  ConnectPair();
  b_.Crash(CrashKind::kPowerLoss);
  world_.RunFor(Seconds(60));
  EXPECT_EQ(a_.ear.closed, 0);
  EXPECT_FALSE(a_.ear.ended);
  EXPECT_EQ(world_.count(Fault::kStreamHalfOpen), 1u);
  b_.env = b_.host.Boot();
  world_.RunFor(Seconds(1));
  Say(&a_, "hello?");
  world_.RunFor(Seconds(1));
  EXPECT_EQ(a_.ear.closed, 1);
  EXPECT_TRUE(absl::IsUnavailable(a_.ear.status)) << a_.ear.status;
}

TEST_F(SimNetworkTest, BytesForAMachineWithoutPowerTimeOut) {
  ConnectPair();
  b_.Crash(CrashKind::kPowerLoss);
  Say(&a_, "hello?");
  world_.RunFor(kGiveUp - Seconds(1));
  EXPECT_EQ(a_.ear.closed, 0);
  world_.RunFor(Seconds(2));
  EXPECT_EQ(a_.ear.closed, 1);
  EXPECT_EQ(world_.count(Fault::kStreamTimeout), 1u);
}

TEST_F(SimNetworkTest, AKilledProcessEndsItsStreamsAtOnce) {
  ConnectPair();
  b_.Crash(CrashKind::kKill);
  world_.RunFor(Seconds(1));
  EXPECT_TRUE(a_.ear.ended || a_.ear.closed == 1);
}

TEST_F(SimNetworkTest, ConnectingToAMachineThatIsDownOrCutOffTimesOut) {
  Listen();
  network().Block(b_.host.id(), a_.host.id());
  Connect();
  world_.RunFor(Seconds(6));
  EXPECT_TRUE(absl::IsUnavailable(connect_status_)) << connect_status_;
  network().UnblockAll();
  b_.Crash(CrashKind::kPowerLoss);
  connect_status_ = absl::UnknownError("no outcome yet");
  Connect();
  world_.RunFor(Seconds(6));
  EXPECT_TRUE(absl::IsUnavailable(connect_status_)) << connect_status_;
  EXPECT_EQ(world_.count(Fault::kConnectTimeout), 2u);
}

TEST_F(SimNetworkTest, AShortPartitionOnlyDelaysAConnect) {
  Listen();
  network().BlockBoth(a_.host.id(), b_.host.id());
  Connect();
  world_.RunFor(Milliseconds(500));
  network().UnblockAll();
  ASSERT_TRUE(world_.RunUntil([&] { return b_.ear.stream != nullptr; }, Seconds(5)));
  EXPECT_TRUE(connect_status_.ok()) << connect_status_;
}

TEST_F(SimNetworkTest, AnUnknownNameCannotBeResolved) {
  a_.host.Run([&] {
    a_.pending =
        a_.env.network->Connect("nowhere:80", [&](auto s) { connect_status_ = s.status(); });
  });
  world_.RunFor(Seconds(1));
  EXPECT_TRUE(absl::IsUnavailable(connect_status_)) << connect_status_;
  EXPECT_NE(connect_status_.message().find("nowhere"), absl::string_view::npos);
}

TEST_F(SimNetworkTest, AResetMayComeAtAnyByteAndBothEndsHearOfIt) {
  LinkOptions link;
  link.reset_ppm = 100'000;
  network().SetAllLinks(link);
  int cut_inside = 0;
  for (int round = 0; round < 50; ++round) {
    a_.ear = Ear();
    b_.ear = Ear();
    b_.listener.reset();
    ConnectPair();
    const std::string sent(10'000, static_cast<char>('a' + round % 26));
    for (int i = 0; i < 10 && a_.ear.closed == 0; ++i) {
      Say(&a_, sent.substr(static_cast<size_t>(i) * 1000, 1000));
      world_.RunFor(Milliseconds(20));
    }
    world_.RunFor(Seconds(1));
    EXPECT_EQ(a_.ear.closed, b_.ear.closed) << "round " << round;
    EXPECT_EQ(b_.ear.received, sent.substr(0, b_.ear.received.size()));
    if (b_.ear.received.size() % 1000 != 0) ++cut_inside;
    a_.host.Run([&] { a_.ear.stream.reset(); });
    b_.host.Run([&] { b_.ear.stream.reset(); });
    world_.RunFor(Seconds(1));
  }
  EXPECT_GT(cut_inside, 10);
  EXPECT_GT(world_.count(Fault::kStreamReset), 10u);
}

TEST_F(SimNetworkTest, TheNemesisCanResetAllStreamsOfAPair) {
  ConnectPair();
  EXPECT_EQ(network().StreamCount(a_.host.id()), 1u);
  network().ResetStreams(a_.host.id(), b_.host.id());
  world_.RunFor(Seconds(1));
  EXPECT_EQ(a_.ear.closed, 1);
  EXPECT_EQ(b_.ear.closed, 1);
  EXPECT_EQ(network().StreamCount(a_.host.id()), 0u);
}

TEST_F(SimNetworkTest, ACorruptedSegmentDiffersInOneBit) {
  LinkOptions link;
  link.corrupt_ppm = 1'000'000;
  ConnectPair();
  network().SetAllLinks(link);
  Say(&a_, std::string(1000, '\0'));
  world_.RunFor(Seconds(1));
  ASSERT_EQ(b_.ear.received.size(), 1000u);
  int bits = 0;
  for (const char c : b_.ear.received) bits += __builtin_popcount(static_cast<unsigned char>(c));
  EXPECT_EQ(bits, 1);
}

TEST_F(SimNetworkTest, BandwidthBoundsHowFastBytesArrive) {
  LinkOptions link;
  link.bytes_per_second = 100'000;
  ConnectPair();
  network().SetAllLinks(link);
  Say(&a_, std::string(200'000, 'x'));
  world_.RunFor(Milliseconds(1900));
  EXPECT_EQ(b_.ear.received.size(), 0u) << "one segment of two seconds";
  world_.RunFor(Milliseconds(200));
  EXPECT_EQ(b_.ear.received.size(), 200'000u);
}

class DatagramTest : public SimNetworkTest {
 protected:
  // Sends `n` numbered datagrams a millisecond apart, and waits for them.
  std::vector<int> Send(int n, sim::DatagramType type = 1) {
    arrived_.clear();
    for (int i = 0; i < n; ++i) {
      network().Send(a_.host.id(), b_.host.id(), type, 100, [this, i] { arrived_.push_back(i); });
      world_.RunFor(Milliseconds(1));
    }
    world_.RunFor(Seconds(10));
    return arrived_;
  }
  std::vector<int> arrived_;
};

TEST_F(DatagramTest, LossAndDuplicationHappenAsOftenAsAsked) {
  LinkOptions link;
  link.loss_ppm = 200'000;
  link.duplicate_ppm = 100'000;
  network().SetAllLinks(link);
  const std::vector<int> arrived = Send(5000);
  EXPECT_NEAR(static_cast<double>(world_.count(Fault::kDatagramLoss)), 1000, 150);
  EXPECT_NEAR(static_cast<double>(world_.count(Fault::kDatagramDuplicate)), 400, 100);
  EXPECT_EQ(arrived.size(),
            5000 - world_.count(Fault::kDatagramLoss) + world_.count(Fault::kDatagramDuplicate));
}

TEST_F(DatagramTest, WhereOrderIsKeptNoneOfATypeOvertakesAnother) {
  LinkOptions link;
  link.latency_mean = Milliseconds(20);
  link.ordered = true;
  network().SetAllLinks(link);
  const std::vector<int> arrived = Send(500);
  EXPECT_EQ(arrived.size(), 500u);
  EXPECT_TRUE(std::is_sorted(arrived.begin(), arrived.end()));
  EXPECT_EQ(world_.count(Fault::kDatagramReorder), 0u);
}

TEST_F(DatagramTest, SecondCopiesAndTailsAreLeftBehindEvenWhereOrderIsKept) {
  LinkOptions link;
  link.latency_mean = Milliseconds(20);
  link.ordered = true;
  link.duplicate_ppm = 100'000;
  link.tail_ppm = 100'000;
  link.tail_max = Seconds(1);
  network().SetAllLinks(link);
  std::vector<int> arrived = Send(500);
  EXPECT_FALSE(std::is_sorted(arrived.begin(), arrived.end()));
  EXPECT_GT(world_.count(Fault::kDatagramReorder), 50u);
  EXPECT_EQ(arrived.size(), 500u + world_.count(Fault::kDatagramDuplicate));
}

TEST_F(DatagramTest, DifferentTypesHaveNoOrderAmongThem) {
  LinkOptions link;
  link.latency_mean = Milliseconds(20);
  link.ordered = true;
  network().SetAllLinks(link);
  std::vector<std::vector<int>> arrived(2);
  std::vector<int> all;
  for (int i = 0; i < 500; ++i) {
    network().Send(a_.host.id(), b_.host.id(), static_cast<sim::DatagramType>(i % 2), 100,
                   [&arrived, &all, i] {
                     arrived[static_cast<size_t>(i % 2)].push_back(i);
                     all.push_back(i);
                   });
    world_.RunFor(Milliseconds(1));
  }
  world_.RunFor(Seconds(10));
  for (const std::vector<int>& one : arrived) {
    EXPECT_EQ(one.size(), 250u);
    EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
  }
  EXPECT_FALSE(std::is_sorted(all.begin(), all.end()));
}

TEST_F(DatagramTest, ASlowLinkLosesWhatWouldWaitTooLong) {
  LinkOptions link;
  link.bytes_per_second = 100'000;
  link.line_queue_max = Milliseconds(5);
  network().SetAllLinks(link);
  // A hundred bytes a millisecond are what the link carries; five times as many are not.
  EXPECT_EQ(Send(500).size(), 500u);
  EXPECT_EQ(world_.count(Fault::kLinkOverflow), 0u);
  arrived_.clear();
  for (int i = 0; i < 500; ++i) {
    network().Send(a_.host.id(), b_.host.id(), 1, 100, [this, i] { arrived_.push_back(i); });
  }
  world_.RunFor(Seconds(10));
  EXPECT_EQ(arrived_.size() + world_.count(Fault::kLinkOverflow), 500u);
  EXPECT_NEAR(static_cast<double>(arrived_.size()), 5, 2);
}

TEST_F(DatagramTest, LongDelaysOvertakeEachOther) {
  LinkOptions link;
  link.latency_mean = Milliseconds(20);
  network().SetAllLinks(link);
  std::vector<int> arrived = Send(500);
  EXPECT_FALSE(std::is_sorted(arrived.begin(), arrived.end()));
  EXPECT_GT(world_.count(Fault::kDatagramReorder), 100u);
  std::sort(arrived.begin(), arrived.end());
  EXPECT_EQ(arrived.size(), 500u);
  EXPECT_EQ(arrived.back(), 499);
}

TEST_F(DatagramTest, PartitionsFiltersAndDeadMachinesSwallowThem) {
  network().Block(a_.host.id(), b_.host.id());
  EXPECT_TRUE(Send(10).empty());
  network().UnblockAll();
  network().SetTypeFilter(a_.host.id(), b_.host.id(), uint64_t{1} << 3);
  EXPECT_TRUE(Send(10, 3).empty());
  EXPECT_EQ(Send(10, 4).size(), 10u);
  b_.Crash(CrashKind::kPowerLoss);
  EXPECT_TRUE(Send(10, 4).empty());
  EXPECT_EQ(world_.count(Fault::kDatagramBlocked), 10u);
  EXPECT_EQ(world_.count(Fault::kDatagramTypeDrop), 10u);
  EXPECT_EQ(world_.count(Fault::kDatagramNobody), 10u);
}

TEST_F(DatagramTest, AnEdgesFaultsDoNotShiftAnothersDraws) {
  const auto delays = [](bool busy_neighbour) {
    SimWorld world(3);
    Machine a(&world, "a");
    Machine b(&world, "b");
    Machine c(&world, "c");
    std::vector<int64_t> arrivals;
    for (int i = 0; i < 20; ++i) {
      world.network().Send(a.host.id(), b.host.id(), 0, 10,
                           [&] { arrivals.push_back(world.scheduler().now().nanos()); });
      if (busy_neighbour) world.network().Send(a.host.id(), c.host.id(), 0, 10, [] {});
    }
    world.RunFor(Seconds(1));
    return arrivals;
  };
  EXPECT_EQ(delays(false), delays(true));
}

// An echo server under everything at once: clients connect, talk, are cut off and
// come again. Whatever happens, a client never hears anything but a prefix of what it
// said.
class EchoStorm {
 public:
  // Impatient, so that time-outs happen between two heals.
  explicit EchoStorm(uint64_t seed)
      : world_(seed, {.give_up_timeout = Seconds(1)}), prng_(seed), server_(&world_, "server") {
    LinkOptions link;
    link.latency_mean = Milliseconds(1);
    link.tail_ppm = 10'000;
    link.tail_max = Seconds(1);
    link.loss_ppm = 20'000;
    link.split_ppm = 500'000;
    link.max_pieces = 20;
    link.reset_ppm = 5'000;
    world_.network().SetAllLinks(link);
    for (int i = 0; i < 3; ++i) {
      clients_.push_back(std::make_unique<Client>(this, "client" + std::to_string(i)));
    }
  }

  void Run(Duration time) {
    StartServer();
    for (auto& client : clients_) client->Connect();
    const sim::VirtualTime end = world_.scheduler().now() + time;
    while (world_.scheduler().now() < end) {
      world_.RunFor(prng_.Between(Milliseconds(1), Milliseconds(700)));
      Disturb();
    }
    world_.network().UnblockAll();
  }

  SimWorld& world() { return world_; }
  uint64_t echoed() const { return echoed_; }

 private:
  class Client : public Stream::Handler {
   public:
    Client(EchoStorm* storm, const std::string& name)
        : storm_(storm), machine_(&storm->world_, name) {
      retry_ = machine_.env.loop->NewTimer([this] { Connect(); });
    }
    void Connect() {
      machine_.pending = machine_.env.network->Connect(
          "server:7", [this](absl::StatusOr<std::unique_ptr<Stream>> stream) {
            if (!stream.ok()) return Again();
            said_.clear();
            heard_ = 0;
            stream_ = *std::move(stream);
            stream_->Start(this);
            Say();
          });
    }
    void OnData(absl::string_view data) override {
      ASSERT_LE(heard_ + data.size(), said_.size());
      ASSERT_EQ(data, absl::string_view(said_).substr(heard_, data.size()));
      heard_ += data.size();
      storm_->echoed_ += data.size();
      if (heard_ == said_.size()) Say();
    }
    void OnClose(const absl::Status&) override {
      stream_.reset();
      Again();
    }
    sim::HostId id() const { return machine_.host.id(); }

   private:
    void Say() {
      const size_t size = 1 + storm_->prng_.Below(20'000);
      for (size_t i = 0; i < size; ++i) said_.push_back(static_cast<char>(said_.size() * 31));
      stream_->Write(Bytes::Copy(absl::string_view(said_).substr(said_.size() - size)));
    }
    void Again() { retry_->Set(machine_.env.loop->Now() + Milliseconds(100)); }

    EchoStorm* const storm_;
    Machine machine_;
    std::unique_ptr<io::Timer> retry_;
    std::unique_ptr<Stream> stream_;
    std::string said_;
    size_t heard_ = 0;
  };

  void StartServer() {
    server_.host.Run([&] {
      echo_ = std::make_unique<EchoServer>(server_.env);
      ASSERT_TRUE(echo_->Listen("server:7").ok());
    });
  }

  void Disturb() {
    const sim::HostId client = clients_[prng_.Below(clients_.size())]->id();
    const sim::HostId server = server_.host.id();
    switch (prng_.Below(8)) {
      case 0:
        return world_.network().BlockBoth(client, server);
      case 1:
        return world_.network().Block(client, server);
      case 2:
        return world_.network().Block(server, client);
      case 3:
        return world_.network().ResetStreams(client, server);
      case 4:
        return server_.host.PauseFor(prng_.Between(Milliseconds(1), Milliseconds(300)));
      case 5: {
        server_.host.Crash(prng_.Chance(1, 2) ? CrashKind::kKill : CrashKind::kPowerLoss);
        echo_.reset();
        world_.RunFor(prng_.Between(Duration(), Milliseconds(500)));
        server_.env = server_.host.Boot();
        return StartServer();
      }
      default:
        return world_.network().UnblockAll();
    }
  }

  SimWorld world_;
  Prng prng_;
  Machine server_;
  std::unique_ptr<EchoServer> echo_;
  std::vector<std::unique_ptr<Client>> clients_;
  uint64_t echoed_ = 0;
};

TEST(EchoStormTest, ClientsHearOnlyWhatTheySaidAndAllFaultsHappen) {
  uint64_t echoed = 0;
  uint64_t counts[sim::kFaultKinds] = {};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EchoStorm storm(seed);
    storm.Run(Seconds(120));
    echoed += storm.echoed();
    for (size_t i = 0; i < sim::kFaultKinds; ++i) {
      counts[i] += storm.world().count(static_cast<Fault>(i));
    }
  }
  EXPECT_GT(echoed, 1'000'000u);
  for (const Fault fault :
       {Fault::kStreamSplit, Fault::kStreamLoss, Fault::kStreamReset, Fault::kStreamStall,
        Fault::kStreamTimeout, Fault::kStreamHalfOpen, Fault::kConnectTimeout, Fault::kPartition,
        Fault::kOneWayPartition, Fault::kProcessPause, Fault::kProcessKill, Fault::kPowerLoss,
        Fault::kRestart}) {
    EXPECT_GT(counts[static_cast<size_t>(fault)], 0u) << sim::FaultName(fault);
  }
}

TEST(EchoStormTest, OneSeedGivesOneTraceAndAnotherSeedAnother) {
  const auto run = [](uint64_t seed, std::vector<std::string>* lines) {
    EchoStorm storm(seed);
    if (lines != nullptr) {
      storm.world().trace().PrintTo([lines](absl::string_view line) { lines->emplace_back(line); });
    }
    storm.Run(Seconds(60));
    EXPECT_GT(storm.world().trace().events(), 1000u);
    return storm.world().trace().digest();
  };
  std::vector<std::string> first;
  std::vector<std::string> second;
  const uint64_t digest = run(1, &first);
  EXPECT_EQ(run(1, &second), digest);
  EXPECT_TRUE(first == second);
  EXPECT_EQ(run(1, nullptr), digest) << "printing must not matter";
  EXPECT_NE(run(2, nullptr), digest);
}

}  // namespace
}  // namespace quorate::testing
