/* The least a fresh-connection check costs: one thread, one epoll, no library but, with -DTLS, OpenSSL.
 *
 * Speaks the protocol of all peers (protocol.py): after "ready", each line "SECONDS" on standard input is answered with
 * {"checks": N, "failed": N} on standard output. Arguments: how many at once, then URLs of 127.0.0.1. With -DTLS the
 * authorities are read once from the file that SSL_CERT_FILE names; chain and address are verified each time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#define DEADLINE 10.0 /* seconds for one check */
#define ROOM 16384    /* bytes of an answer */

enum step { CONNECTING, HANDSHAKE, SENDING, READING };

struct check {
    int fd;
    enum step step;
    size_t sent, got;
    double began, connected, secured, sent_at, first_byte; /* every phase is timed, as by the other peers */
#ifdef TLS
    SSL *ssl;
#endif
    char answer[ROOM + 1];
};

struct target {
    struct sockaddr_in place;
    char request[256];
    size_t length;
};

static struct target *targets;
static struct check *checks;
static int target_count, check_count, poller, under_way;
static long done, failed;
static double until;
#ifdef TLS
static SSL_CTX *context;
#endif

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct target *target_of(struct check *check) {
    return &targets[(check - checks) % target_count];
}

static int passes(struct check *check) {
    check->answer[check->got] = 0;
    return memcmp(check->answer, "HTTP/1.1 200", 12) == 0 && strstr(check->answer, "\"status\":\"healthy\"") != NULL;
}

static void start(struct check *check);

static void finish(struct check *check, int passed) {
#ifdef TLS
    if (check->ssl) {
        SSL_free(check->ssl);
        check->ssl = NULL;
    }
#endif
    close(check->fd);
    check->fd = -1;
    under_way--;
    done++;
    if (!passed) failed++;
    if (now() < until) start(check);
}

static void start(struct check *check) {
    struct target *target = target_of(check);
    int one = 1;
    check->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (check->fd < 0) die("socket");
    setsockopt(check->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    check->step = CONNECTING;
    check->sent = check->got = 0;
    check->began = now();
    under_way++;
    if (connect(check->fd, (struct sockaddr *)&target->place, sizeof target->place) < 0 && errno != EINPROGRESS) {
        finish(check, 0);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = check};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, check->fd, &event) < 0) die("epoll_ctl");
}

/* Return bytes moved, 0 at the end of the stream, -1: try again when the socket is ready, -2: broken. */
static ssize_t put(struct check *check, const char *from, size_t count) {
#ifdef TLS
    int moved = SSL_write(check->ssl, from, (int)count);
    if (moved > 0) return moved;
    int error = SSL_get_error(check->ssl, moved);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : -2;
#else
    ssize_t moved = send(check->fd, from, count, MSG_NOSIGNAL);
    return moved >= 0 ? moved : errno == EAGAIN ? -1 : -2;
#endif
}

static ssize_t take(struct check *check, char *into, size_t room) {
#ifdef TLS
    int moved = SSL_read(check->ssl, into, (int)room);
    if (moved > 0) return moved;
    int error = SSL_get_error(check->ssl, moved);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : error == SSL_ERROR_ZERO_RETURN ? 0 : -2;
#else
    ssize_t moved = recv(check->fd, into, room, 0);
    return moved >= 0 ? moved : errno == EAGAIN ? -1 : -2;
#endif
}

/* Say whether head and body are there: the body is as long as Content-Length says. */
static int whole(struct check *check) {
    check->answer[check->got] = 0;
    char *body = strstr(check->answer, "\r\n\r\n");
    if (!body) return 0;
    char *length = strcasestr(check->answer, "\r\ncontent-length:");
    if (!length || length > body) return 0;
    return check->got >= (size_t)(body + 4 - check->answer) + strtoul(length + 17, NULL, 10);
}

static void advance(struct check *check) {
    struct target *target = target_of(check);
    if (check->step == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(check->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            finish(check, 0);
            return;
        }
        check->connected = now();
        check->step = SENDING;
#ifdef TLS
        check->ssl = SSL_new(context);
        SSL_set_fd(check->ssl, check->fd);
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(check->ssl), "127.0.0.1");
        SSL_set_connect_state(check->ssl);
        check->step = HANDSHAKE;
#endif
    }
#ifdef TLS
    if (check->step == HANDSHAKE) {
        int made = SSL_do_handshake(check->ssl);
        if (made != 1) {
            int error = SSL_get_error(check->ssl, made);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
            ERR_clear_error();
            finish(check, 0);
            return;
        }
        if (SSL_get_verify_result(check->ssl) != X509_V_OK) {
            finish(check, 0);
            return;
        }
        check->secured = now();
        check->step = SENDING;
    }
#endif
    while (check->step == SENDING) {
        ssize_t moved = put(check, target->request + check->sent, target->length - check->sent);
        if (moved == -1) return;
        if (moved < 0) {
            finish(check, 0);
            return;
        }
        check->sent += (size_t)moved;
        if (check->sent == target->length) {
            check->sent_at = now();
            check->step = READING;
        }
    }
    for (;;) {
        ssize_t moved = take(check, check->answer + check->got, ROOM - check->got);
        if (moved == -1) return;
        if (moved <= 0) {
            finish(check, 0); /* the answer was cut off, or broken */
            return;
        }
        if (!check->got) check->first_byte = now();
        check->got += (size_t)moved;
        if (whole(check)) {
            finish(check, passes(check));
            return;
        }
        if (check->got == ROOM) {
            finish(check, 0);
            return;
        }
    }
}

static void run(double seconds) {
    struct epoll_event events[256];
    done = failed = 0;
    until = now() + seconds;
    double scan = now() + 1;
    for (int i = 0; i < check_count; i++) start(&checks[i]);
    while (under_way) {
        int count = epoll_wait(poller, events, 256, 1000);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct check *check = events[i].data.ptr;
            if (check->fd >= 0) advance(check);
        }
        if (now() > scan) {
            for (int i = 0; i < check_count; i++)
                if (checks[i].fd >= 0 && now() - checks[i].began > DEADLINE) finish(&checks[i], 0);
            scan = now() + 1;
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s AT-ONCE URL...\n", argv[0]);
        return 2;
    }
    check_count = atoi(argv[1]);
    target_count = argc - 2;
    checks = calloc((size_t)check_count, sizeof *checks);
    targets = calloc((size_t)target_count, sizeof *targets);
    if (!checks || !targets) die("calloc");
    for (int i = 0; i < check_count; i++) checks[i].fd = -1;
    for (int i = 0; i < target_count; i++) {
        int port = 0;
        char path[128] = "/";
        if (sscanf(argv[i + 2], "http%*[s:/]127.0.0.1:%d%127s", &port, path) < 1) {
            fprintf(stderr, "not a URL of 127.0.0.1: %s\n", argv[i + 2]);
            return 2;
        }
        targets[i].place.sin_family = AF_INET;
        targets[i].place.sin_port = htons((unsigned short)port);
        targets[i].place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        targets[i].length = (size_t)snprintf(targets[i].request, sizeof targets[i].request,
            "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: epoll\r\nAccept: */*\r\nConnection: close\r\n\r\n", path, port);
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) die("epoll_create1");
#ifdef TLS
    context = SSL_CTX_new(TLS_client_method());
    const char *authorities = getenv("SSL_CERT_FILE");
    if (!authorities || SSL_CTX_load_verify_locations(context, authorities, NULL) != 1) {
        fprintf(stderr, "SSL_CERT_FILE names no file of authorities\n");
        return 2;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
#endif
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        run(atof(line));
        printf("{\"checks\": %ld, \"failed\": %ld}\n", done, failed);
    }
    return 0;
}
