// TLS of the whole program: what it shows, what it refuses, and how it follows its files.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "support/certificates.h"
#include "support/json.h"
#include "support/program.h"
#include "support/raw_client.h"
#include "support/tls_client.h"
#include "tei/v1/tei.grpc.pb.h"

namespace rerank {
namespace {

constexpr char kBody[] = R"({"query":"q","texts":["a","b"]})";

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/rerankd-tls-XXXXXX";
    folder_ = mkdtemp(name);
    authority_ = std::make_unique<Authority>(folder_, "authority");
    authority_->issue("server", "first");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> flags(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--tls-cert", file("server.crt"), "--tls-key", file("server.key")});
    return more;
  }
  std::string file(const std::string& name) const { return folder_ / name; }
  TlsClientOptions trusting() const { return {.authority = file("authority.crt")}; }

  static std::string read_file(const std::string& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  std::filesystem::path folder_;
  std::unique_ptr<Authority> authority_;
};

TEST_F(Tls, ServesOnTheVersionsOfToday) {
  Program program(flags());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClientOptions options = trusting();
    options.lowest = options.highest = version;
    TlsClient client(program.port(), options);
    ASSERT_TRUE(client.ok());
    EXPECT_EQ(client.version(), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(client.request("POST", "/rerank", kBody), 200) << "the connection is kept";
    EXPECT_EQ(Json(client.body()).size(""), 2u);
    EXPECT_EQ(client.request("POST", "/echo", std::string(300000, 'x')), 404) << "many records";
    EXPECT_TRUE(client.say_goodbye());
  }
}

TEST_F(Tls, DowngradesAreRefused) {
  Program program(flags());
  const auto connects = [&](int lowest, int highest, const char* ciphers, bool fallback) {
    TlsClientOptions options = trusting();
    options.lowest = lowest;
    options.highest = highest;
    options.ciphers = ciphers;
    options.fallback = fallback;
    return TlsClient(program.port(), options).ok();
  };
  EXPECT_FALSE(connects(TLS1_VERSION, TLS1_1_VERSION, "ALL:@SECLEVEL=0", false)) << "old versions";
  EXPECT_FALSE(connects(TLS1_2_VERSION, TLS1_2_VERSION, "AES128-SHA256:AES256-GCM-SHA384:@SECLEVEL=0", false))
      << "keys that are not ephemeral";
  EXPECT_FALSE(connects(TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", false)) << "CBC";
  EXPECT_FALSE(connects(TLS1_2_VERSION, TLS1_2_VERSION, "aNULL:@SECLEVEL=0", false)) << "no certificate";
  EXPECT_FALSE(connects(TLS1_2_VERSION, TLS1_2_VERSION, "DEFAULT", true)) << "somebody took 1.3 away on the way";
  EXPECT_TRUE(connects(TLS1_2_VERSION, TLS1_2_VERSION, "DEFAULT", false));

  RawClient clear(program.port());
  const RawResponse response = clear.request("POST", "/rerank", kBody);
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("https"), std::string::npos);
}

TEST_F(Tls, AsksForClientCertificatesWhereSaid) {
  authority_->issue("client", "somebody");
  Authority other(folder_, "other");
  other.issue("stranger", "somebody");
  Program program(flags({"--tls-client-ca", file("authority.crt")}));
  const auto status_with = [&](const char* certificate) {
    TlsClientOptions options = trusting();
    if (*certificate) options.certificate = file(certificate);
    return TlsClient(program.port(), options).request("POST", "/rerank", kBody);
  };
  EXPECT_EQ(status_with("client"), 200);
  EXPECT_EQ(status_with(""), 0);
  EXPECT_EQ(status_with("stranger"), 0);
  EXPECT_EQ(status_with("client"), 200);
}

TEST_F(Tls, FollowsItsFiles) {
  Program program(flags());
  TlsClient old(program.port(), trusting());
  EXPECT_EQ(old.server_name(), "first");
  const auto shown = [&] { return TlsClient(program.port(), trusting()).server_name(); };
  authority_->issue("server", "second");
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (shown() != "second" && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(shown(), "second");
  EXPECT_EQ(old.request("POST", "/rerank", kBody), 200) << "connections that are there stay";
  std::ofstream(file("server.crt")) << "not a certificate";
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_EQ(shown(), "second") << "a broken file changes nothing";
}

TEST_F(Tls, SilentHandshakesEnd) {
  Program program(flags({"--header-timeout-ms", "300"}));
  RawClient silent(program.port());
  RawClient half(program.port());
  half.send(std::string("\x16\x03\x01\x02\x00\x01", 6));  // the beginning of a ClientHello
  EXPECT_TRUE(silent.at_end());
  EXPECT_TRUE(half.at_end());
  EXPECT_EQ(TlsClient(program.port(), trusting()).request("GET", "/health"), 200);
}

TEST_F(Tls, WrongFilesAreToldAtTheStart) {
  authority_->issue("another", "another");
  const auto fails = [&](const std::string& cert, const std::string& key) -> std::string {
    try {
      Program program({"--tls-cert", cert, "--tls-key", key});
    } catch (const std::exception& error) {
      return error.what();
    }
    return "it started";
  };
  EXPECT_NE(fails(file("server.crt"), file("another.key")).find("--tls-key"), std::string::npos);
  EXPECT_NE(fails(file("nothing.crt"), file("server.key")).find("--tls-cert"), std::string::npos);
  EXPECT_NE(fails(file("server.crt"), "").find("--tls-key"), std::string::npos);
  EXPECT_THROW(Program({"--tls-client-ca", file("authority.crt")}), std::exception) << "no server in the clear";
}

TEST_F(Tls, GrpcShowsTheSameCertificates) {
  authority_->issue("client", "somebody");
  const uint16_t port = free_port();
  Program program(flags({"--grpc-port", std::to_string(port), "--tls-client-ca", file("authority.crt")}));
  const auto code_with = [&](bool certificate) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = read_file(file("authority.crt"));
    if (certificate) {
      options.pem_cert_chain = read_file(file("client.crt"));
      options.pem_private_key = read_file(file("client.key"));
    }
    const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::SslCredentials(options));
    ::tei::v1::RerankRequest request;
    request.set_query("q");
    request.add_texts("a");
    ::tei::v1::RerankResponse response;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    return ::tei::v1::Rerank::NewStub(channel)->Rerank(&context, request, &response).error_code();
  };
  EXPECT_EQ(code_with(true), grpc::OK);
  EXPECT_EQ(code_with(false), grpc::UNAVAILABLE);
}

}  // namespace
}  // namespace rerank
