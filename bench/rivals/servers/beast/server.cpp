// Boost.Beast, asynchronous on one thread. server PORT off|takeover|no-takeover
//
// Each session reads one message, writes it, and reads the next (the pattern of Beast's asynchronous server example),
// without the timers of beast::tcp_stream and without type-erased executors. Members of the room have a queue, as in
// Beast's chat example.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <boost/beast/websocket.hpp>

#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <unordered_set>

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using tcp = net::ip::tcp;
using plain_socket = net::basic_stream_socket<tcp, net::io_context::executor_type>;
using acceptor = net::basic_socket_acceptor<tcp, net::io_context::executor_type>;
using beast::error_code;

static constexpr std::size_t message_bytes_max = 16 * 1024 * 1024;

struct message {
    std::string bytes;
    bool text;
};

struct member {
    virtual ~member() = default;
    virtual void deliver(const std::shared_ptr<const message> &published) = 0;
};

static std::unordered_set<member *> room;

template <bool deflates> class session : public member, public std::enable_shared_from_this<session<deflates>> {
    websocket::stream<plain_socket, deflates> ws_;
    beast::flat_buffer buffer_;
    http::request<http::string_body> request_;
    std::deque<std::shared_ptr<const message>> queue_;
    bool in_room_ = false;

    auto self() {
        return this->shared_from_this();
    }

    void on_request() {
        in_room_ = request_.target() == "/room";
        ws_.async_accept(request_, [s = self()](error_code error) {
            if (error)
                return;
            s->request_ = {};
            if (s->in_room_)
                room.insert(s.get());
            s->read();
        });
    }

    void read() {
        ws_.async_read(buffer_, [s = self()](error_code error, std::size_t) {
            if (error)
                return;
            if (s->in_room_)
                s->publish();
            else
                s->echo();
        });
    }

    void echo() {
        ws_.text(ws_.got_text());
        ws_.async_write(buffer_.data(), [s = self()](error_code error, std::size_t bytes) {
            if (error)
                return;
            s->buffer_.consume(bytes);
            s->read();
        });
    }

    void publish() {
        auto published = std::make_shared<const message>(
            message{beast::buffers_to_string(buffer_.data()), ws_.got_text()});
        buffer_.consume(buffer_.size());
        for (member *other : room)
            if (other != this)
                other->deliver(published);
        read();
    }

    void write_first() {
        ws_.text(queue_.front()->text);
        ws_.async_write(net::buffer(queue_.front()->bytes), [s = self()](error_code error, std::size_t) {
            if (error)
                return;
            s->queue_.pop_front();
            if (!s->queue_.empty())
                s->write_first();
        });
    }

public:
    explicit session(plain_socket &&socket) : ws_(std::move(socket)) {}

    ~session() override {
        room.erase(this);
    }

    void deliver(const std::shared_ptr<const message> &published) override {
        queue_.push_back(published);
        if (queue_.size() == 1)
            write_first();
    }

    void run(const websocket::permessage_deflate &terms) {
        ws_.next_layer().set_option(tcp::no_delay(true));
        if constexpr (deflates)
            ws_.set_option(terms);
        ws_.auto_fragment(false);
        ws_.read_message_max(message_bytes_max);
        http::async_read(ws_.next_layer(), buffer_, request_, [s = self()](error_code error, std::size_t) {
            if (!error)
                s->on_request();
        });
    }
};

template <bool deflates> static void accept_next(acceptor &listener, const websocket::permessage_deflate &terms) {
    listener.async_accept([&](error_code error, plain_socket socket) {
        if (!error)
            std::make_shared<session<deflates>>(std::move(socket))->run(terms);
        accept_next<deflates>(listener, terms);
    });
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    const std::string deflate = argv[2];
    websocket::permessage_deflate terms;
    terms.server_enable = true;
    terms.server_no_context_takeover = terms.client_no_context_takeover = deflate == "no-takeover";
    terms.compLevel = 1;

    net::io_context context{1};
    tcp::endpoint where{net::ip::address_v4::loopback(), static_cast<unsigned short>(std::atoi(argv[1]))};
    acceptor listener{context};
    listener.open(where.protocol());
    listener.set_option(net::socket_base::reuse_address(true));
    listener.bind(where);
    listener.listen(4096);
    if (deflate == "off")
        accept_next<false>(listener, terms);
    else
        accept_next<true>(listener, terms);
    context.run();
}
