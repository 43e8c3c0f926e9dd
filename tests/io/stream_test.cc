// What io::Network and io::Stream promise, in both worlds.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "tests/io/echo_server.h"
#include "tests/io/param.h"
#include "tests/io/world.h"

namespace quorate::testing {
namespace {

using io::Stream;

constexpr size_t kMiB = 1024 * 1024;

std::string Pattern(size_t size, uint64_t seed) {
  std::string text(size, '\0');
  Prng prng(seed);
  for (char& c : text) c = static_cast<char>(prng.Next());
  return text;
}

// Keeps what a stream said.
class Peer : public Stream::Handler {
 public:
  void OnData(absl::string_view data) override {
    received.append(data.data(), data.size());
    if (on_data) on_data();
  }
  void OnWritable() override {
    ++writable;
    queue_when_writable = stream->write_queue_bytes();
    if (on_writable) on_writable();
  }
  void OnEnd() override {
    ended = true;
    if (on_end) on_end();
  }
  void OnClose(const absl::Status& status) override {
    ++closed;
    close_status = status;
    if (on_close) on_close();
  }

  std::unique_ptr<Stream> stream;
  std::string received;
  int writable = 0;
  size_t queue_when_writable = 0;
  bool ended = false;
  int closed = 0;
  absl::Status close_status;
  std::function<void()> on_data;
  std::function<void()> on_writable;
  std::function<void()> on_end;
  std::function<void()> on_close;
};

class StreamTest : public IoTest {
 protected:
  // Connects client_ to server_.
  void ConnectPair() {
    Listen();
    world().InClient([&] {
      pending_ = world().client().network->Connect(
          listener_->address(), [&](absl::StatusOr<std::unique_ptr<Stream>> stream) {
            ASSERT_TRUE(stream.ok()) << stream.status();
            client_.stream = *std::move(stream);
            client_.stream->Start(&client_);
          });
    });
    ASSERT_TRUE(
        world().RunUntil([&] { return client_.stream != nullptr && server_.stream != nullptr; }));
  }

  void Listen() {
    world().InServer([&] {
      auto listener = world().server().network->Listen(world().listen_address(),
                                                       [&](std::unique_ptr<Stream> stream) {
                                                         server_.stream = std::move(stream);
                                                         if (start_paused_)
                                                           server_.stream->PauseReading();
                                                         server_.stream->Start(&server_);
                                                       });
      ASSERT_TRUE(listener.ok()) << listener.status();
      listener_ = *std::move(listener);
    });
  }

  void ClientWrites(absl::string_view data) {
    world().InClient([&] { client_.stream->Write(Bytes::Copy(data)); });
  }
  void ServerWrites(absl::string_view data) {
    world().InServer([&] { server_.stream->Write(Bytes::Copy(data)); });
  }

  bool start_paused_ = false;
  std::unique_ptr<io::Listener> listener_;
  std::unique_ptr<io::PendingConnect> pending_;
  Peer server_;
  Peer client_;
};

TEST_P(StreamTest, BytesArriveInOrderAndComplete) {
  ConnectPair();
  const std::string sent = Pattern(3 * kMiB, 1);
  Prng sizes(2);
  size_t at = 0;
  while (at < sent.size()) {
    world().InClient([&] {
      for (int i = 0; i < 50 && at < sent.size(); ++i) {
        size_t size = static_cast<size_t>(sizes.Below(20'000));
        size = std::min(size, sent.size() - at);
        client_.stream->Write(Bytes::Copy(absl::string_view(sent).substr(at, size)));
        at += size;
      }
    });
  }
  ASSERT_TRUE(world().RunUntil([&] { return server_.received.size() >= sent.size(); }));
  EXPECT_TRUE(server_.received == sent);
}

TEST_P(StreamTest, ManySmallPiecesOfOneTurnArriveInOrder) {
  ConnectPair();
  std::string sent;
  world().InClient([&] {
    for (int i = 0; i < 5000; ++i) {
      const std::string piece = std::to_string(i) + ",";
      sent += piece;
      client_.stream->Write(Bytes::Copy(piece));
    }
  });
  ASSERT_TRUE(world().RunUntil([&] { return server_.received.size() >= sent.size(); }));
  EXPECT_EQ(server_.received, sent);
}

TEST_P(StreamTest, WriteOnlyQueues) {
  ConnectPair();
  world().InClient([&] {
    client_.stream->Write(Bytes::Copy("abc"));
    EXPECT_EQ(client_.stream->write_queue_bytes(), 3u);
    client_.stream->Write(Bytes::Copy("defg"));
    EXPECT_EQ(client_.stream->write_queue_bytes(), 7u);
  });
  ASSERT_TRUE(world().RunUntil([&] { return server_.received == "abcdefg"; }));
  EXPECT_EQ(client_.stream->write_queue_bytes(), 0u);
}

TEST_P(StreamTest, WhatDeferredCallbacksWriteLeavesInTheSameTurn) {
  ConnectPair();
  world().InClient([&] {
    client_.stream->Write(Bytes::Copy("first "));
    world().client().loop->Defer([&] { client_.stream->Write(Bytes::Copy("second")); });
  });
  ASSERT_TRUE(world().RunUntil([&] { return server_.received.size() == 12; }));
  EXPECT_EQ(server_.received, "first second");
}

TEST_P(StreamTest, NothingIsReadWhilePaused) {
  ConnectPair();
  world().InServer([&] { server_.stream->PauseReading(); });
  ClientWrites("held back");
  world().RunFor(Milliseconds(60));
  EXPECT_EQ(server_.received, "");
  world().InServer([&] { server_.stream->ResumeReading(); });
  ASSERT_TRUE(world().RunUntil([&] { return server_.received == "held back"; }));
}

TEST_P(StreamTest, PausingInsideOnDataHoldsBackTheRest) {
  ConnectPair();
  const std::string sent = Pattern(2 * kMiB, 3);
  server_.on_data = [&] { server_.stream->PauseReading(); };
  ClientWrites(sent);
  ASSERT_TRUE(world().RunUntil([&] { return !server_.received.empty(); }));
  const size_t first = server_.received.size();
  world().RunFor(Milliseconds(50));
  EXPECT_EQ(server_.received.size(), first);
  EXPECT_LT(first, sent.size());
  server_.on_data = nullptr;
  world().InServer([&] { server_.stream->ResumeReading(); });
  ASSERT_TRUE(world().RunUntil([&] { return server_.received.size() == sent.size(); }));
  EXPECT_TRUE(server_.received == sent);
}

TEST_P(StreamTest, AStreamMayBePausedBeforeItStarts) {
  start_paused_ = true;
  ConnectPair();
  ClientWrites("early");
  world().RunFor(Milliseconds(50));
  EXPECT_EQ(server_.received, "");
  world().InServer([&] { server_.stream->ResumeReading(); });
  ASSERT_TRUE(world().RunUntil([&] { return server_.received == "early"; }));
}

TEST_P(StreamTest, AWriterIsToldWhenASlowReaderHasCaughtUp) {
  ConnectPair();
  world().InServer([&] { server_.stream->PauseReading(); });
  const std::string sent = Pattern(16 * kMiB, 4);
  ClientWrites(sent);
  world().RunFor(Milliseconds(100));
  EXPECT_GT(client_.stream->write_queue_bytes(), Stream::kWriteHighWater);
  EXPECT_EQ(client_.writable, 0);
  world().InServer([&] { server_.stream->ResumeReading(); });
  ASSERT_TRUE(world().RunUntil([&] { return client_.writable > 0; }));
  EXPECT_EQ(client_.writable, 1);
  EXPECT_LE(client_.queue_when_writable, Stream::kWriteHighWater);
  ASSERT_TRUE(world().RunUntil([&] { return server_.received.size() == sent.size(); }));
  EXPECT_TRUE(server_.received == sent);
  EXPECT_EQ(client_.writable, 1);
}

TEST_P(StreamTest, BelowTheHighWaterMarkNobodyIsTold) {
  ConnectPair();
  ClientWrites(Pattern(Stream::kWriteHighWater / 2, 5));
  ASSERT_TRUE(
      world().RunUntil([&] { return server_.received.size() == Stream::kWriteHighWater / 2; }));
  world().RunFor(Milliseconds(20));
  EXPECT_EQ(client_.writable, 0);
}

TEST_P(StreamTest, CloseAfterFlushDeliversEverythingAndHearsTheAnswer) {
  ConnectPair();
  const std::string sent = Pattern(4 * kMiB, 6);
  server_.on_end = [&] { server_.stream->Write(Bytes::Copy("got it")); };
  world().InClient([&] {
    client_.stream->Write(Bytes::Copy(sent));
    client_.stream->CloseAfterFlush();
  });
  ASSERT_TRUE(world().RunUntil([&] { return server_.ended; }));
  EXPECT_TRUE(server_.received == sent);
  ASSERT_TRUE(world().RunUntil([&] { return client_.received == "got it"; }));
  EXPECT_EQ(server_.closed, 0);
}

TEST_P(StreamTest, DestroyingAStreamEndsThePeers) {
  ConnectPair();
  ClientWrites("hello");
  ASSERT_TRUE(world().RunUntil([&] { return server_.received == "hello"; }));
  world().InClient([&] { client_.stream.reset(); });
  ASSERT_TRUE(world().RunUntil([&] { return server_.ended || server_.closed > 0; }));
  EXPECT_EQ(client_.closed, 0);
}

TEST_P(StreamTest, WritingToADestroyedPeerFailsTheStreamOnce) {
  ConnectPair();
  world().InServer([&] { server_.stream.reset(); });
  // The first bytes may still leave; the answer to them is a reset.
  for (int i = 0; i < 1000 && client_.closed == 0; ++i) {
    ClientWrites("are you there?");
    world().RunFor(Milliseconds(5));
  }
  ASSERT_EQ(client_.closed, 1);
  EXPECT_TRUE(absl::IsUnavailable(client_.close_status)) << client_.close_status;
  ClientWrites("and now?");
  world().RunFor(Milliseconds(50));
  EXPECT_EQ(client_.closed, 1);
}

TEST_P(StreamTest, AStreamMayBeDestroyedInsideOnData) {
  ConnectPair();
  server_.on_data = [&] { server_.stream.reset(); };
  ClientWrites(Pattern(kMiB, 7));
  ASSERT_TRUE(world().RunUntil([&] { return client_.ended || client_.closed > 0; }));
  EXPECT_GT(server_.received.size(), 0u);
  EXPECT_EQ(server_.closed, 0);
}

TEST_P(StreamTest, AStreamMayBeDestroyedInsideOnEndAndOnClose) {
  ConnectPair();
  server_.on_end = [&] { server_.stream.reset(); };
  server_.on_close = [&] { server_.stream.reset(); };
  world().InClient([&] { client_.stream->CloseAfterFlush(); });
  ASSERT_TRUE(world().RunUntil([&] { return server_.stream == nullptr; }));
  ASSERT_TRUE(world().RunUntil([&] { return client_.ended || client_.closed > 0; }));
}

TEST_P(StreamTest, AStreamMayBeDestroyedInsideOnWritable) {
  ConnectPair();
  client_.on_writable = [&] { client_.stream.reset(); };
  ClientWrites(Pattern(8 * kMiB, 8));
  ASSERT_TRUE(world().RunUntil([&] { return client_.stream == nullptr; }));
  ASSERT_TRUE(world().RunUntil([&] { return server_.ended || server_.closed > 0; }));
}

TEST_P(StreamTest, WhatWasNotYetWrittenIsDroppedWithTheStream) {
  ConnectPair();
  world().InClient([&] {
    client_.stream->Write(Bytes::Copy("never sent"));
    client_.stream.reset();
  });
  ASSERT_TRUE(world().RunUntil([&] { return server_.ended || server_.closed > 0; }));
  EXPECT_EQ(server_.received, "");
}

TEST_P(StreamTest, DataMayFlowBothWaysAtOnce) {
  ConnectPair();
  const std::string up = Pattern(2 * kMiB, 9);
  const std::string down = Pattern(3 * kMiB, 10);
  ClientWrites(up);
  ServerWrites(down);
  ASSERT_TRUE(world().RunUntil([&] {
    return server_.received.size() == up.size() && client_.received.size() == down.size();
  }));
  EXPECT_TRUE(server_.received == up);
  EXPECT_TRUE(client_.received == down);
}

TEST_P(StreamTest, PeersHaveAddresses) {
  ConnectPair();
  EXPECT_EQ(client_.stream->peer_address(), listener_->address());
  EXPECT_NE(server_.stream->peer_address(), "");
  EXPECT_NE(server_.stream->peer_address(), listener_->address());
}

TEST_P(StreamTest, ATakenPortIsAnErrorThatNamesTheAddress) {
  Listen();
  world().InServer([&] {
    const auto second =
        world().server().network->Listen(listener_->address(), [](std::unique_ptr<Stream>) {});
    ASSERT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
    EXPECT_NE(second.status().message().find(listener_->address()), absl::string_view::npos)
        << second.status();
  });
}

TEST_P(StreamTest, APortIsFreeAgainOnceItsListenerIsGone) {
  Listen();
  const std::string address = listener_->address();
  world().InServer([&] { listener_.reset(); });
  world().RunFor(Milliseconds(20));
  world().InServer([&] {
    auto again = world().server().network->Listen(address, [](std::unique_ptr<Stream>) {});
    EXPECT_TRUE(again.ok()) << again.status();
  });
  world().RunFor(Milliseconds(20));
}

TEST_P(StreamTest, MalformedAddressesAreRefused) {
  for (const std::string address : {"nonsense", "127.0.0.1:", "127.0.0.1:99999", "[::1:80"}) {
    absl::Status connect_status;
    world().InServer([&] {
      const auto listener =
          world().server().network->Listen(address, [](std::unique_ptr<Stream>) {});
      EXPECT_TRUE(absl::IsInvalidArgument(listener.status())) << listener.status();
      pending_ = world().server().network->Connect(
          address, [&](absl::StatusOr<std::unique_ptr<Stream>> stream) {
            connect_status = stream.status();
          });
      EXPECT_TRUE(connect_status.ok()) << "told inside the call";
    });
    ASSERT_TRUE(world().RunUntil([&] { return !connect_status.ok(); }));
    EXPECT_TRUE(absl::IsInvalidArgument(connect_status)) << connect_status;
  }
}

TEST_P(StreamTest, NobodyListensIsARefusalThatNamesTheAddress) {
  Listen();
  const std::string address = listener_->address();
  world().InServer([&] { listener_.reset(); });
  world().RunFor(Milliseconds(20));
  absl::Status status;
  world().InClient([&] {
    pending_ = world().client().network->Connect(
        address, [&](absl::StatusOr<std::unique_ptr<Stream>> stream) { status = stream.status(); });
    EXPECT_TRUE(status.ok()) << "told inside the call";
  });
  ASSERT_TRUE(world().RunUntil([&] { return !status.ok(); }));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find(address), absl::string_view::npos) << status;
}

TEST_P(StreamTest, AnAbandonedConnectHasNoCallback) {
  Listen();
  bool called = false;
  world().InClient([&] {
    pending_ = world().client().network->Connect(
        listener_->address(), [&](absl::StatusOr<std::unique_ptr<Stream>>) { called = true; });
    pending_.reset();
  });
  world().RunFor(Milliseconds(100));
  EXPECT_FALSE(called);
}

TEST_P(StreamTest, TheConnectCallbackMayDestroyTheAttemptAndTheStream) {
  Listen();
  bool called = false;
  world().InClient([&] {
    pending_ = world().client().network->Connect(
        listener_->address(), [&](absl::StatusOr<std::unique_ptr<Stream>> stream) {
          called = true;
          pending_.reset();
          stream->reset();
        });
  });
  ASSERT_TRUE(world().RunUntil([&] { return called; }));
  world().RunFor(Milliseconds(20));
}

TEST_P(StreamTest, AListenerMayBeDestroyedInsideItsCallback) {
  bool accepted = false;
  world().InServer([&] {
    auto listener = world().server().network->Listen(world().listen_address(),
                                                     [&](std::unique_ptr<Stream> stream) {
                                                       accepted = true;
                                                       listener_.reset();
                                                       stream.reset();
                                                     });
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  });
  world().InClient([&] {
    pending_ = world().client().network->Connect(
        listener_->address(), [&](absl::StatusOr<std::unique_ptr<Stream>> stream) {
          if (stream.ok()) client_.stream = *std::move(stream);
        });
  });
  ASSERT_TRUE(world().RunUntil([&] { return accepted; }));
  world().RunFor(Milliseconds(20));
}

TEST_P(StreamTest, OneEchoServerServesManyClients) {
  EchoServer echo(world().server());
  world().InServer([&] {
    const absl::Status status = echo.Listen(world().listen_address());
    ASSERT_TRUE(status.ok()) << status;
  });
  constexpr size_t kClients = 20;
  std::vector<std::unique_ptr<Peer>> clients;
  std::vector<std::unique_ptr<io::PendingConnect>> attempts;
  std::vector<std::string> texts;
  world().InClient([&] {
    for (size_t i = 0; i < kClients; ++i) {
      texts.push_back(Pattern(10'000 + i * 30'000, 100 + i));
      Peer* client = clients.emplace_back(std::make_unique<Peer>()).get();
      attempts.push_back(world().client().network->Connect(
          echo.address(), [&, i, client](absl::StatusOr<std::unique_ptr<Stream>> stream) {
            ASSERT_TRUE(stream.ok()) << stream.status();
            client->stream = *std::move(stream);
            client->stream->Start(client);
            client->stream->Write(Bytes::Copy(texts[i]));
            client->stream->CloseAfterFlush();
          }));
    }
  });
  ASSERT_TRUE(world().RunUntil([&] {
    for (const auto& client : clients) {
      if (!client->ended) return false;
    }
    return true;
  }));
  for (size_t i = 0; i < kClients; ++i) EXPECT_TRUE(clients[i]->received == texts[i]) << i;
  EXPECT_EQ(echo.accepted(), kClients);
}

INSTANTIATE_TEST_SUITE_P(Worlds, StreamTest, AllIoWorlds(), IoWorldName);

}  // namespace
}  // namespace quorate::testing
