/* A web server for remote.py that waits before each answer and costs next to nothing itself: one thread, one epoll, files
 * by sendfile. It knows GET and HEAD, one range, and connections that stay open; it counts what is asked of it.
 *
 *     cc -O2 benchmarks/slow_server.c -o slow_server
 *     ./slow_server FOLDER          # prints its URL; then reads lines: "delay SECONDS", "report"; ends with its input */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 8192, SMALL = 64 << 10 };

/* A connection; at most one request of it is under way. */
struct peer {
  int socket, file;
  int asked;             /* a request is under way */
  int due;               /* its delay is over */
  int gone;              /* to be freed once its delay is over */
  size_t have;           /* bytes of requests in `in` */
  double began, when;    /* the request came; its answer is due */
  off_t at, end;         /* what of `file` is still to be sent */
  size_t sent, ready;    /* of `out` */
  struct peer *next;     /* in the line of those that wait */
  char in[HEAD_BYTES + 1];
  char out[SMALL + 1024]; /* the head of the answer, and a small body */
};

static int poller, timer;
static double delay;
static struct peer *first, *last; /* in order of `when`, as the delay only changes when nothing waits */
static struct { long requests, heads, peak, bytes, answered; double served; } seen;
static long in_flight;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* Wake up when the first in line is due. */
static void set_timer(void) {
  struct itimerspec at = {0};
  if (first) {
    at.it_value.tv_sec = (time_t)first->when;
    at.it_value.tv_nsec = (long)((first->when - (double)at.it_value.tv_sec) * 1e9) + 1;
  }
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void drop(struct peer *p) {
  if (p->file >= 0) close(p->file);
  if (p->socket >= 0) close(p->socket);
  in_flight -= p->asked;
  p->file = p->socket = -1;
  p->asked = 0;
  p->gone = 1;
  if (p->due) free(p); /* else it is in the line */
}

/* The value of a header, or NULL. */
static const char *header(const char *in, const char *name) {
  for (const char *line = strstr(in, "\r\n"); line; line = strstr(line, "\r\n")) {
    line += 2;
    if (!strncasecmp(line, name, strlen(name))) return line + strlen(name);
  }
  return NULL;
}

/* Open what is asked for, and write the head of the answer. `end` points behind the request's head, which is cut. */
static void prepare(struct peer *p) {
  char *path = strchr(p->in, ' ');
  int is_head = !strncmp(p->in, "HEAD ", 5), status = 200;
  seen.heads += is_head;
  p->at = p->end = 0;
  off_t size = 0;
  char etag[64] = "", extra[128] = "";
  const char *range = header(p->in, "range: bytes=");
  if (path) {
    path++;
    path[strcspn(path, " ?")] = 0;
    while (*path == '/') path++;
    p->file = strstr(path, "..") ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  }
  struct stat about;
  if (p->file < 0 || fstat(p->file, &about) || !S_ISREG(about.st_mode)) {
    status = 404;
  } else {
    p->end = size = about.st_size;
    snprintf(etag, sizeof etag, "ETag: \"%lx-%lx\"\r\n", (long)about.st_mtime, (long)size);
  }
  if (range && status == 200) {
    char *rest;
    off_t from = *range == '-' ? 0 : strtoll(range, &rest, 10);
    off_t to = *range == '-' ? strtoll(range + 1, &rest, 10) : *rest == '-' && rest[1] >= '0' ? atoll(rest + 1) + 1 : size;
    if (*range == '-') from = to < size ? size - to : 0, to = size;
    status = from < size ? 206 : 416;
    p->at = from < size ? from : 0;
    p->end = status == 416 ? 0 : to < size ? to : size;
    if (status == 206)
      snprintf(extra, sizeof extra, "Content-Range: bytes %ld-%ld/%ld\r\n", (long)p->at, (long)p->end - 1, (long)size);
    else
      snprintf(extra, sizeof extra, "Content-Range: bytes */%ld\r\n", (long)size);
  }
  const char *text = status == 200 ? "OK" : status == 206 ? "Partial Content" : status == 404 ? "Not Found" : "Range Not Satisfiable";
  int n = snprintf(p->out, 1024, "HTTP/1.1 %d %s\r\nContent-Length: %ld\r\nAccept-Ranges: bytes\r\n%s%s\r\n", status, text,
                   (long)(p->end - p->at), etag, extra);
  p->ready = (size_t)n, p->sent = 0;
  if (is_head) p->at = p->end;
  if (p->at < p->end && p->end - p->at <= SMALL) {
    ssize_t body = pread(p->file, p->out + n, (size_t)(p->end - p->at), p->at);
    if (body != p->end - p->at) die("pread");
    p->ready += (size_t)body, p->at = p->end;
  }
}

/* Take the next request, if all of its head is there; whether there was one. */
static int take(struct peer *p) {
  p->in[p->have] = 0;
  char *end = strstr(p->in, "\r\n\r\n");
  if (p->asked || !end) return 0;
  end[2] = 0;
  p->asked = 1, p->due = 0;
  p->began = now(), p->when = p->began + delay;
  seen.requests++;
  if (++in_flight > seen.peak) seen.peak = in_flight;
  prepare(p);
  end += 4;
  p->have -= (size_t)(end - p->in);
  memmove(p->in, end, p->have);
  return 1;
}

/* Send on: 1 when all is sent, 0 when the socket is full, -1 when it is closed. */
static int send_on(struct peer *p) {
  while (p->sent < p->ready) {
    int more = p->at < p->end ? MSG_MORE : 0;
    ssize_t n = send(p->socket, p->out + p->sent, p->ready - p->sent, MSG_NOSIGNAL | more);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    p->sent += (size_t)n, seen.bytes += n;
  }
  while (p->at < p->end) {
    ssize_t n = sendfile(p->socket, p->file, &p->at, (size_t)(p->end - p->at));
    if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
    seen.bytes += n;
  }
  if (p->file >= 0) close(p->file);
  p->file = -1;
  in_flight--;
  seen.answered++, seen.served += now() - p->began;
  p->asked = 0;
  return 1;
}

/* Send what is due; then take the next request and stand in line, or send at once where there is no delay. */
static void go_on(struct peer *p) {
  for (;;) {
    if (p->asked) {
      if (!p->due) return;
      int all = send_on(p);
      if (all < 0) drop(p);
      if (all <= 0) return;
    }
    if (!take(p)) return;
    if (delay > 0) {
      p->next = NULL;
      if (first) last->next = p;
      else first = p;
      last = p;
      if (first == p) set_timer();
      return;
    }
    p->due = 1;
  }
}

static void readable(struct peer *p) {
  for (;;) { /* edge-triggered: until nothing is left */
    ssize_t n = recv(p->socket, p->in + p->have, HEAD_BYTES - p->have, 0);
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) { /* closed, or too much of a request */
      drop(p);
      return;
    }
    p->have += (size_t)n;
  }
  go_on(p);
}

static void accept_all(int listener) {
  int socket;
  while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct peer *p = calloc(1, sizeof *p);
    if (!p) die("calloc");
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    p->socket = socket, p->file = -1, p->due = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = p};
    epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event);
  }
}

static void due(void) {
  for (double time = now(); first && first->when <= time;) {
    struct peer *p = first;
    first = p->next;
    p->due = 1;
    if (p->gone) free(p);
    else go_on(p);
  }
  set_timer();
}

static void told(void) {
  char line[256];
  if (!fgets(line, sizeof line, stdin)) exit(0);
  if (sscanf(line, "delay %lf", &delay) == 1) {
    puts("ok");
  } else {
    double mean = seen.answered ? seen.served / (double)seen.answered : 0;
    printf("%ld %ld %ld %ld %.6f\n", seen.requests, seen.heads, seen.peak, seen.bytes, mean);
    memset(&seen, 0, sizeof seen);
  }
}

int main(int n, char **arguments) {
  if (n != 2 || chdir(arguments[1])) die("slow_server FOLDER");
  setvbuf(stdout, NULL, _IOLBF, 0);
  setvbuf(stdin, NULL, _IONBF, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(listener, (void *)&address, len) || listen(listener, 4096)) die("listen");
  getsockname(listener, (void *)&address, &len);
  poller = epoll_create1(EPOLL_CLOEXEC);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  int others[] = {listener, timer, 0};
  for (int i = 0; i < 3; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &others[i]};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, others[i], &event)) die("epoll_ctl");
  }
  printf("http://127.0.0.1:%d\n", ntohs(address.sin_port));
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, -1), is_due = 0;
    for (int i = 0; i < count; i++) {
      void *what = events[i].data.ptr;
      if (what == &others[0]) accept_all(listener);
      else if (what == &others[1]) is_due = 1;
      else if (what == &others[2]) told();
      else readable(what);
    }
    if (is_due) due(); /* last, as it may free what an event points to */
  }
}
