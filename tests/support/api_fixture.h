// An Api over a FakeReranker, called without sockets.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/api.h"
#include "support/fake_reranker.h"
#include "support/json.h"

namespace rerank {

class ApiFixture : public testing::Test {
 protected:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  transport::HttpResponse call(const std::string& method, const std::string& target, std::string body = "",
                               Headers headers = {}) {
    transport::HttpRequest request;
    request.headers = std::move(headers);
    request.method = method;
    request.target = target;
    request.body = std::move(body);
    std::optional<transport::HttpResponse> answer;
    api_->handle(std::move(request), [&](transport::HttpResponse response) {
      EXPECT_FALSE(answer.has_value()) << "answered twice";
      answer = std::move(response);
      if (answer->complete) answer->complete(*answer);
    });
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(transport::HttpResponse{});
  }

  transport::HttpResponse post(const std::string& body, const std::string& target = "/rerank") {
    return call("POST", target, body);
  }

  // Starts anew with other options.
  void restart(const api::ApiOptions& options) { api_ = std::make_unique<api::Api>(fake_, metrics_, options); }

  FakeReranker fake_;
  std::shared_ptr<Metrics> metrics_ = std::make_shared<Metrics>();
  std::unique_ptr<api::Api> api_ = std::make_unique<api::Api>(fake_, metrics_, api::ApiOptions{});
};

}  // namespace rerank
