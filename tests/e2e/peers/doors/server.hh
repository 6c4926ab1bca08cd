// SPDX-License-Identifier: Apache-2.0
// server.hh - the service of doors, as doors.py has it, on gRPC's C++ library.
#ifndef DOORS_SERVER_HH
#define DOORS_SERVER_HH

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <atomic>
#include <deque>
#include <iostream>
#include <limits>
#include <mutex>
#include <vector>

using grpc::ByteBuffer;
using grpc::Status;
using grpc::StatusCode;
using std::string;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

static const string service = "/doors.Manager/";
static const string odd("\0\xff", 2);

inline ByteBuffer pack(const string &message)
{
	grpc::Slice slice(message);
	return ByteBuffer(&slice, 1);
}

inline string unpack(const ByteBuffer &buffer)
{
	std::vector<grpc::Slice> slices;
	string all;

	buffer.Dump(&slices);
	for (const auto &slice : slices)
		all.append(reinterpret_cast<const char *>(slice.begin()), slice.size());
	return all;
}

struct Doors : grpc::CallbackGenericService {
	bool deny = false;
	std::atomic<int> gone{0};

	grpc::ServerGenericBidiReactor *CreateReactor(grpc::GenericCallbackServerContext *ctx) override;
};

// One call. What is written waits in a queue; the call ends when it is empty and over() was said.
class Call : public grpc::ServerGenericBidiReactor {
public:
	Call(Doors *doors, grpc::GenericCallbackServerContext *ctx)
		: doors_(doors), ctx_(ctx), method_(ctx->method().substr(service.size()))
	{
	}

	void begin()
	{
		if (method_ == "Pack")
			ctx_->set_compression_algorithm(GRPC_COMPRESS_GZIP);
		if (method_ == "Get")
			echo_metadata();
		if (method_ == "Hold")
			say("held");
		if (method_ == "Open" && doors_->deny)
			over(Status(StatusCode::PERMISSION_DENIED, "Access denied"));
		else
			StartRead(&in_);
	}

	void OnReadDone(bool ok) override
	{
		if (!ok) {
			on_half_close();
			return;
		}
		on_message(unpack(in_));
	}

	void OnWriteDone(bool ok) override
	{
		std::unique_lock<std::mutex> lock(mutex_);
		out_.pop_front();
		if (!ok)
			out_.clear();
		if (!out_.empty())
			StartWrite(&out_.front());
		bool ends = out_.empty() && over_;
		lock.unlock();
		if (ends)
			finish();
	}

	void OnCancel() override
	{
		over(Status::CANCELLED);
	}

	void OnDone() override
	{
		if (method_ == "Hold")
			doors_->gone++;
		delete this;
	}

private:
	void say(const string &message)
	{
		std::lock_guard<std::mutex> lock(mutex_);
		out_.push_back(pack(message));
		if (out_.size() == 1)
			StartWrite(&out_.front());
	}

	void over(const Status &status)
	{
		std::unique_lock<std::mutex> lock(mutex_);
		if (over_)
			return;
		over_ = true;
		status_ = status;
		bool ends = out_.empty();
		lock.unlock();
		if (ends)
			finish();
	}

	void finish()
	{
		if (!finished_.exchange(true))
			Finish(status_);
	}

	void answer(const string &message)
	{
		say(message);
		over(Status::OK);
	}

	void echo_metadata()
	{
		for (const auto &field : ctx_->client_metadata()) {
			string name(field.first.data(), field.first.size());
			if (name == "door" || name == "door-bin")
				ctx_->AddInitialMetadata(
					"echo" + name.substr(4),
					string(field.second.data(), field.second.size()));
		}
		ctx_->AddTrailingMetadata("left", "yes");
		ctx_->AddTrailingMetadata("left-bin", string("\0\1\2", 3));
	}

	void on_message(const string &message)
	{
		if (method_ == "Talk" || method_ == "Open" || method_ == "Count") {
			sum_ += message.size();
			if (method_ != "Count")
				say(message);
			StartRead(&in_);
		} else if (method_ == "Get" || method_ == "Pack") {
			answer(message);
		} else if (method_ == "Watch") {
			for (int i = 0; i < std::stoi(message); i++)
				say(std::to_string(i));
			over(Status::OK);
		} else if (method_ == "Left") {
			auto left = ctx_->deadline() - system_clock::now();
			answer(left > seconds(5) && left <= seconds(30) ? "yes" : "no");
		} else if (method_ == "Fail") {
			ctx_->AddTrailingMetadata("why-bin", odd);
			over(Status(StatusCode::NOT_FOUND, "no such door: é, 100%"));
		} else if (method_ == "Gone") {
			wait_for_gone(std::stoi(message));
		} else if (method_ != "Slow" && method_ != "Hold") {
			over(Status(StatusCode::UNIMPLEMENTED, ""));
		}
	}

	void on_half_close()
	{
		if (method_ == "Count")
			answer(std::to_string(sum_));
		else if (method_ == "Talk" || method_ == "Open")
			over(Status::OK);
	}

	void wait_for_gone(int count)
	{
		if (doors_->gone >= count) {
			answer(std::to_string(doors_->gone));
			return;
		}
		alarm_.Set(system_clock::now() + milliseconds(10),
			   [this, count](bool) { wait_for_gone(count); });
	}

	Doors *doors_;
	grpc::GenericCallbackServerContext *ctx_;
	string method_;
	ByteBuffer in_;
	grpc::Alarm alarm_;
	size_t sum_ = 0;
	std::mutex mutex_;
	std::deque<ByteBuffer> out_;
	bool over_ = false;
	Status status_;
	std::atomic<bool> finished_{false};
};

inline grpc::ServerGenericBidiReactor *Doors::CreateReactor(grpc::GenericCallbackServerContext *ctx)
{
	auto call = new Call(this, ctx);

	call->begin();
	return call;
}

inline int serve(bool deny, bool age)
{
	Doors doors;
	grpc::ServerBuilder builder;
	int port = 0;

	doors.deny = deny;
	builder.SetMaxReceiveMessageSize(-1);
	builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
	builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
	builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
	builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
	builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
	if (age)
		builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 500);
	builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
	builder.RegisterCallbackGenericService(&doors);
	auto server = builder.BuildAndStart();
	std::cout << port << std::endl;
	std::cin.ignore(std::numeric_limits<std::streamsize>::max());
	server->Shutdown(system_clock::now());
	return 0;
}

#endif
