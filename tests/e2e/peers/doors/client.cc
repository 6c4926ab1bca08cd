// SPDX-License-Identifier: Apache-2.0
// A client of the service of doors, as doors.py has it, on gRPC's C++ library.
#include "server.hh"
#include <grpcpp/generic/generic_stub.h>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <thread>

static string pattern(size_t size)
{
	string row, out;

	for (int i = 0; i < 251; i++)
		row += static_cast<char>(i);
	while (out.size() < size)
		out.append(row, 0, size - out.size());
	return out;
}

static string hex(const string &bytes)
{
	string out;
	char two[3];

	for (unsigned char byte : bytes) {
		snprintf(two, sizeof(two), "%02x", byte);
		out += two;
	}
	return out;
}

static string text(const Status &status)
{
	return std::to_string(status.error_code()) + ": " + status.error_message();
}

// The values of NAME, as WRITE writes them.
static string values(const std::multimap<grpc::string_ref, grpc::string_ref> &metadata,
		     const string &name, const char *between, string (*write)(const string &))
{
	string all;
	auto range = metadata.equal_range(name);

	for (auto at = range.first; at != range.second; ++at)
		all += (at == range.first ? "" : between) +
		       write(string(at->second.data(), at->second.size()));
	return all;
}

static string as_is(const string &value)
{
	return value;
}

// A unary call that is under way.
struct Unary {
	grpc::ClientContext context;
	ByteBuffer request, reply;
	std::promise<Status> done;
	std::future<Status> result = done.get_future();

	explicit Unary(int wait_ms = 20000)
	{
		context.set_deadline(system_clock::now() + milliseconds(wait_ms));
	}

	void start(grpc::GenericStub &stub, const string &name, const string &message)
	{
		request = pack(message);
		stub.UnaryCall(&context, service + name, {}, &request, &reply,
			       [this](Status status) { done.set_value(status); });
	}
};

// A stream, whose verbs wait.
class Stream : public grpc::ClientBidiReactor<ByteBuffer, ByteBuffer> {
public:
	Stream(grpc::GenericStub &stub, const string &name, int wait_seconds = 60)
	{
		context.set_deadline(system_clock::now() + seconds(wait_seconds));
		stub.PrepareBidiStreamingCall(&context, service + name, {}, this);
		AddHold();
		StartCall();
	}

	bool write(const string &message)
	{
		out_ = pack(message);
		StartWrite(&out_);
		return wrote_.wait();
	}

	void done_writing()
	{
		StartWritesDone();
		wrote_.wait();
	}

	bool read(string *message)
	{
		StartRead(&in_);
		if (!read_.wait())
			return false;
		*message = unpack(in_);
		return true;
	}

	Status finish()
	{
		RemoveHold();
		return result_.get();
	}

	// Half-close, and read to the end.
	Status end()
	{
		string message;

		done_writing();
		while (read(&message))
			;
		return finish();
	}

	grpc::ClientContext context;

private:
	class Event {
	public:
		void tell(bool ok)
		{
			std::lock_guard<std::mutex> lock(mutex_);
			told_ = true;
			ok_ = ok;
			changed_.notify_one();
		}

		bool wait()
		{
			std::unique_lock<std::mutex> lock(mutex_);
			changed_.wait(lock, [this] { return told_; });
			told_ = false;
			return ok_;
		}

	private:
		std::mutex mutex_;
		std::condition_variable changed_;
		bool told_ = false, ok_ = false;
	};

	void OnWriteDone(bool ok) override { wrote_.tell(ok); }
	void OnWritesDoneDone(bool ok) override { wrote_.tell(ok); }
	void OnReadDone(bool ok) override { read_.tell(ok); }
	void OnDone(const Status &status) override { done_.set_value(status); }

	ByteBuffer in_, out_;
	Event wrote_, read_;
	std::promise<Status> done_;
	std::future<Status> result_ = done_.get_future();
};

using Streams = std::vector<std::unique_ptr<Stream>>;

// One message on each, and how many of them come back.
static int echoes(const Streams &streams, const string &word)
{
	int good = 0;
	string reply;

	for (auto &stream : streams)
		stream->write(word);
	for (auto &stream : streams)
		good += stream->read(&reply) && reply == word;
	return good;
}

static int ended(const Streams &streams)
{
	int good = 0;

	for (auto &stream : streams)
		good += stream->end().ok();
	return good;
}

class Client {
public:
	explicit Client(const std::shared_ptr<grpc::Channel> &channel) : stub_(channel)
	{
		verbs_ = {
			{ "unary", [this](int) { return unary(); } },
			{ "watch", [this](int n) { return watch(n); } },
			{ "count", [this](int n) { return count(n); } },
			{ "talk", [this](int n) { return talk(n); } },
			{ "denied", [this](int) { return text(call("Open", "vault")); } },
			{ "denied_stream", [this](int) { return denied_stream(); } },
			{ "fail", [this](int) { return fail(); } },
			{ "unknown", [this](int) {
				return std::to_string(call("Paint", "").error_code()); } },
			{ "deadline", [this](int n) { return deadline(n); } },
			{ "cancel", [this](int n) { return cancel(n); } },
			{ "large", [this](int n) { return echo("Get", n, GRPC_COMPRESS_NONE); } },
			{ "many", [this](int n) { return many(n); } },
			{ "mixed", [this](int n) { return mixed(n); } },
			{ "gzip", [this](int n) { return echo("Pack", n, GRPC_COMPRESS_GZIP); } },
			{ "revoked", [this](int) { return revoked(); } },
			{ "steady", [this](int n) { return steady(n); } },
			{ "idle", [this](int n) { return idle(n); } },
		};
	}

	string perform(const string &name, int n)
	{
		auto verb = verbs_.find(name);

		return verb == verbs_.end() ? "not known here" : verb->second(n);
	}

private:
	Status call(const string &name, const string &message, string *reply = nullptr,
		    int wait_ms = 20000)
	{
		Unary unary(wait_ms);

		unary.start(stub_, name, message);
		Status status = unary.result.get();
		if (reply)
			*reply = unpack(unary.reply);
		return status;
	}

	Streams streams(int count, const string &name, int wait_seconds = 60)
	{
		Streams all;

		for (int i = 0; i < count; i++)
			all.push_back(std::make_unique<Stream>(stub_, name, wait_seconds));
		return all;
	}

	string unary()
	{
		Unary unary;
		string everything;

		for (int i = 0; i < 256; i++)
			everything += static_cast<char>(i);
		for (const char *value : { "front", "second" })
			unary.context.AddMetadata("door", value);
		for (const string &value : { odd, string("a"), string("ab"), everything })
			unary.context.AddMetadata("door-bin", value);
		unary.start(stub_, "Get", "front");
		Status status = unary.result.get();
		if (!status.ok())
			return text(status);
		auto &first = unary.context.GetServerInitialMetadata();
		auto &last = unary.context.GetServerTrailingMetadata();
		return unpack(unary.reply) + " " + values(first, "echo", ", ", as_is) + " " +
		       values(first, "echo-bin", ",", hex) + " " + values(last, "left", ", ", as_is) +
		       " " + values(last, "left-bin", ",", hex);
	}

	string watch(int count)
	{
		Stream stream(stub_, "Watch");
		string message;
		int good = 0;

		stream.write(std::to_string(count));
		stream.done_writing();
		while (stream.read(&message) && message == std::to_string(good))
			good++;
		Status status = stream.finish();
		return status.ok() ? std::to_string(good) : text(status);
	}

	string count(int count)
	{
		Stream stream(stub_, "Count");
		string reply;

		for (int i = 0; i < count; i++)
			stream.write(pattern(70000));
		stream.done_writing();
		stream.read(&reply);
		Status status = stream.finish();
		return status.ok() ? reply : text(status);
	}

	string talk(int count)
	{
		Streams one = streams(1, "Talk");
		int good = 0;

		for (int i = 0; i < count; i++)
			good += echoes(one, "word " + std::to_string(i));
		return std::to_string(good) + " " + std::to_string(one[0]->end().error_code());
	}

	string denied_stream()
	{
		Stream stream(stub_, "Open", 20);
		string message;

		for (int i = 0; i < 5 && stream.write(pattern(70000)); i++)
			;
		stream.done_writing();
		bool got = stream.read(&message);
		Status status = stream.finish();
		return got ? "a message of " + std::to_string(message.size()) + " bytes" : text(status);
	}

	string fail()
	{
		Unary unary;

		unary.start(stub_, "Fail", "");
		Status status = unary.result.get();
		return text(status) + " " +
		       values(unary.context.GetServerTrailingMetadata(), "why-bin", ",", hex);
	}

	string deadline(int wait_ms)
	{
		string left;
		Status status = call("Left", "", &left);

		if (!status.ok())
			return text(status);
		return left + " " + std::to_string(call("Slow", "", nullptr, wait_ms).error_code());
	}

	// Streams on which the server has said something, and a call that it may not even know.
	string cancel(int count)
	{
		Streams all = streams(count, "Hold");
		std::set<int> codes;
		string message, gone, line;
		int held = 0;

		for (auto &stream : all)
			held += stream->read(&message) && message == "held";
		for (auto &stream : all)
			stream->context.TryCancel();
		for (auto &stream : all)
			codes.insert(stream->finish().error_code());
		Status status = call("Gone", std::to_string(count), &gone);
		if (!status.ok())
			return text(status);
		Unary slow;
		slow.start(stub_, "Slow", "");
		std::this_thread::sleep_for(milliseconds(20));
		slow.context.TryCancel();
		codes.insert(slow.result.get().error_code());
		for (int code : codes)
			line += " " + std::to_string(code);
		return std::to_string(held) + " " + gone + line;
	}

	string echo(const string &name, int size, grpc_compression_algorithm algorithm)
	{
		Unary unary(120000);
		string message = pattern(static_cast<size_t>(size));

		unary.context.set_compression_algorithm(algorithm);
		unary.start(stub_, name, message);
		Status status = unary.result.get();
		if (!status.ok())
			return text(status);
		return unpack(unary.reply) == message ? "same" : "different";
	}

	// Streams that are all open at once.
	string many(int count)
	{
		Streams all = streams(count, "Talk", 120);
		int good = echoes(all, "one") + echoes(all, "two");

		return std::to_string(good) + " " + std::to_string(ended(all));
	}

	// Allowed and denied calls at once, while five streams are open.
	string mixed(int count)
	{
		Streams five = streams(5, "Talk");
		std::deque<Unary> calls;
		int live = echoes(five, "before"), good = 0, denied = 0;

		for (int n = 0; n < count; n++) {
			string growing;

			calls.emplace_back(60000);
			for (int i = 0; i < 20; i++)
				growing += std::to_string(n % 70);
			calls.back().context.AddMetadata("growing", growing);
			calls.back().start(stub_, n % 2 ? "Open" : "Get", std::to_string(n));
		}
		live += echoes(five, "meanwhile");
		for (int n = 0; n < count; n++) {
			Status status = calls[n].result.get();

			denied += n % 2 && status.error_code() == StatusCode::PERMISSION_DENIED;
			good += n % 2 == 0 && status.ok() &&
				unpack(calls[n].reply) == std::to_string(n);
		}
		live += echoes(five, "after");
		live += ended(five);
		return std::to_string(good) + " " + std::to_string(denied) + " " +
		       std::to_string(live);
	}

	// Says on standard error when the policy may change; it has to take Hold away then.
	string revoked()
	{
		Streams talk = streams(1, "Talk");
		Stream hold(stub_, "Hold");
		int good = echoes(talk, "before");
		string message, gone;

		hold.read(&message);
		std::cerr << "holding" << std::endl;
		while (hold.read(&message))
			;
		int code = hold.finish().error_code();
		int code_again = call("Hold", "").error_code();
		call("Gone", "1", &gone);
		good += echoes(talk, "after");
		return std::to_string(code) + " " + std::to_string(code_again) + " " + gone + " " +
		       std::to_string(good) + " " + std::to_string(talk[0]->end().error_code());
	}

	// Calls without a pause, on whatever connections. Returns how many had a wrong end.
	string steady(int wait_ms)
	{
		auto until = system_clock::now() + milliseconds(wait_ms);
		int wrong = 0;

		while (system_clock::now() < until) {
			std::deque<Unary> calls(6);

			for (int n = 0; n < 6; n++)
				calls[n].start(stub_, n % 2 ? "Open" : "Get", "steady");
			for (int n = 0; n < 6; n++)
				wrong += calls[n].result.get().error_code() != 7 * (n % 2);
		}
		return std::to_string(wrong);
	}

	string idle(int wait_seconds)
	{
		Streams one = streams(1, "Talk", wait_seconds + 60);
		int good = echoes(one, "before");

		std::this_thread::sleep_for(seconds(wait_seconds));
		good += echoes(one, "after");
		return std::to_string(good) + " " + std::to_string(one[0]->end().error_code());
	}

	grpc::GenericStub stub_;
	std::map<string, std::function<string(int)>> verbs_;
};

static string quoted(const string &value)
{
	string out = "\"";

	for (char c : value)
		out += (c == '"' || c == '\\' ? string("\\") : string()) + c;
	return out + "\"";
}

static int call(const string &port, int count, char **asked)
{
	grpc::ChannelArguments arguments;
	string results;

	arguments.SetMaxReceiveMessageSize(-1);
	arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
	arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
	arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
	arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
	Client client(grpc::CreateCustomChannel("127.0.0.1:" + port,
						grpc::InsecureChannelCredentials(), arguments));
	for (int i = 0; i < count; i++) {
		std::istringstream word(asked[i]);
		string name;
		int n = 0;
		auto began = std::chrono::steady_clock::now();

		std::getline(word, name, '=');
		word >> n;
		results += (i ? ", " : "") + quoted(name) + ": " + quoted(client.perform(name, n));
		std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
		std::cerr << name << " " << took.count() << " s" << std::endl;
	}
	std::cout << "{" << results << "}" << std::endl;
	return 0;
}

int main(int argc, char **argv)
{
	std::set<string> asked(argv + 1, argv + argc);
	if (asked.count("serve"))
		return serve(asked.count("deny"), asked.count("age"));
	if (argc >= 3 && string(argv[1]) == "call")
		return call(argv[2], argc - 3, argv + 3);
	return 2;
}
