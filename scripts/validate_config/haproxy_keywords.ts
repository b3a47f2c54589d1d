/**
 * The words of HAProxy's language: keywords of its sections, options, parameters and actions. Read off HAProxy 2.6.12
 * (`haproxy -dKall`, and asking `haproxy -c` about each keyword), with those that came later from the manual.
 */

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}

/** Keywords of `global`; those with prefixes of {@link GLOBAL_PREFIXES} are too many. */
export const globalKeywords = words(`
  51degrees-data-file anonkey busy-polling ca-base chroot close-spread-time cluster-secret cpu-map
  cpu-policy cpu-set crt-base daemon debug default-path default-tunables description deviceatlas-json-file
  dns-accept-family expose-deprecated-directives expose-experimental-directives external-check fd-hard-limit
  force-cfg-parser-pause gid grace group h1-accept-payload-with-any-method h1-case-adjust
  h1-case-adjust-file h2-workaround-bogus-websocket-clients hard-stop-after
  harden.reject-privileged-ports.quic harden.reject-privileged-ports.tcp httpclient.resolvers.id
  httpclient.resolvers.prefer httpclient.retries httpclient.ssl.ca-file httpclient.ssl.verify
  httpclient.timeout.connect insecure-fork-wanted insecure-setuid-wanted issuers-chain-path key-base
  limited-quic localpeer log log-send-hostname log-tag lua-load lua-load-per-thread lua-prepend-path
  master-worker maxcompcpuusage maxcomprate maxconn maxconnrate maxpipes maxsessrate maxsslconn maxsslrate
  maxzlibmem mworker-max-reloads nbproc nbthread no no-memory-trimming no-quic node noepoll noevports
  nogetaddrinfo nokqueue nopoll noreuseport nosplice numa-cpu-mapping ocsp-update.maxdelay ocsp-update.mode
  pidfile pp2-never-send-local prealloc-fd presetenv profiling.tasks quiet resetenv server-state-file
  set-dumpable set-var set-var-fmt setcap setenv spread-checks ssl-default-bind-ciphers
  ssl-default-bind-ciphersuites ssl-default-bind-client-sigalgs ssl-default-bind-curves
  ssl-default-bind-options ssl-default-bind-sigalgs ssl-default-server-ciphers
  ssl-default-server-ciphersuites ssl-default-server-options ssl-dh-param-file ssl-load-extra-del-ext
  ssl-load-extra-files ssl-mode-async ssl-propquery ssl-provider ssl-provider-path ssl-security-level
  ssl-server-verify ssl-skip-self-issued-ca stats stats-file strict-limits thread-group thread-groups uid
  ulimit-n unix-bind unsetenv user warn-blocked-traffic-after wurfl-data-file zero-warning
`);

/** Tuning differs much from version to version; the real program knows. */
export const GLOBAL_PREFIXES = [
  "tune.",
  "51degrees-",
  "deviceatlas-",
  "wurfl-",
  "httpclient.",
  "profiling.",
  "quic-",
];

/** Keywords of `defaults`, `frontend`, `backend` and `listen`. */
export const proxyKeywords = words(`
  acl appsession backlog balance bind block capture clitcpka-cnt clitcpka-idle clitcpka-intvl clitimeout
  compression contimeout cookie declare default-server default_backend description disabled dispatch
  dynamic-cookie-key email-alert enabled errorfile errorfiles errorloc errorloc302 errorloc303
  external-check filter force-persist fullconn grace guid hash-balance-factor hash-preserve-affinity
  hash-type http-after-response http-check http-error http-request http-response http-reuse
  http-send-name-header id ignore-persist load-server-state-from-file log log-format log-format-sd log-steps
  log-tag max-keep-alive-queue maxconn mode monitor monitor-net monitor-uri no option persist rate-limit
  redirect reqrep retries retry-on rspadd server server-state-file-name server-template source srvtcpka-cnt
  srvtcpka-idle srvtcpka-intvl srvtimeout stats stick stick-table tcp-check tcp-request tcp-response timeout
  transparent unique-id-format unique-id-header use-fcgi-app use-server use_backend
`);

/** What may follow `option`. */
export const optionNames = words(`
  abortonclose accept-invalid-http-request accept-invalid-http-response allbackups assume-rfc6587-ntf
  checkcache clitcpka contstats disable-h2-upgrade dontlog-normal dontlognull external-check forceclose
  forwarded forwardfor h1-case-adjust-bogus-client h1-case-adjust-bogus-server http-buffer-request
  http-drop-request-trailers http-drop-response-trailers http-ignore-probes http-keep-alive http-no-delay
  http-pretend-keepalive http-restrict-req-hdr-names http-server-close http-use-proxy-header httpchk
  httpclose httplog httpslog idle-close-on-response independent-streams ldap-check log-health-checks
  log-separate-errors logasap mysql-check nolinger originalto persist pgsql-check prefer-last-server
  redis-check redispatch smtpchk socket-stats splice-auto splice-request splice-response spop-check srvtcpka
  ssl-hello-chk tcp-check tcp-smart-accept tcp-smart-connect tcpka tcplog transparent use-small-buffers
`);

/** Parameters of `bind` that stand alone. */
export const bindFlags = words(`
  accept-proxy allow-0rtt defer-accept force-sslv3 force-tlsv10 force-tlsv11 force-tlsv12 force-tlsv13
  generate-certificates ktls no-alpn no-ca-names no-sslv3 no-tls-tickets no-tlsv10 no-tlsv11 no-tlsv12
  no-tlsv13 prefer-client-ciphers quic-force-retry ssl ssl-early-data strict-sni tfo transparent v4v6 v6only
`);

/** Parameters of `bind` with a value. */
export const bindValues = words(`
  accept-netscaler-cip alpn backlog ca-file ca-ignore-err ca-sign-file ca-sign-pass ca-verify-file ciphers
  ciphersuites client-sigalgs crl-file crt crt-ignore-err crt-list curves default-crt ecdhe expose-fd gid
  group guid-prefix id interface level maxconn mode mss name namespace nice npn ocsp-update process proto
  quic-cc-algo quic-socket severity-output shards sigalgs ssl-max-ver ssl-min-ver tcp-ut thread
  tls-ticket-keys uid user verify
`);

/** Parameters of `server` that stand alone. */
export const serverFlags = words(`
  agent-check allow-0rtt backup check check-reuse-pool check-send-proxy check-ssl check-via-socks4 disabled
  enabled force-sslv3 force-tlsv10 force-tlsv11 force-tlsv12 force-tlsv13 no-agent-check no-backup no-check
  no-check-reuse-pool no-check-send-proxy no-check-ssl no-renegotiate no-send-proxy no-send-proxy-v2
  no-send-proxy-v2-ssl no-send-proxy-v2-ssl-cn no-ssl no-ssl-reuse no-sslv3 no-tfo no-tls-tickets no-tlsv10
  no-tlsv11 no-tlsv12 no-tlsv13 non-stick renegotiate send-proxy send-proxy-v2 send-proxy-v2-ssl
  send-proxy-v2-ssl-cn ssl ssl-reuse stick strict-maxconn tfo tls-tickets usesrc
`);

/** Parameters of `server` with a value. */
export const serverValues = words(`
  addr agent-addr agent-inter agent-port agent-send alpn ca-file cc check-alpn check-pool-conn-name
  check-proto check-sni ciphers ciphersuites client-sigalgs cookie crl-file crt curves downinter error-limit
  fall fastinter guid hash-key id init-addr init-state inter log-bufsize log-proto max-reuse maxconn
  maxqueue minconn namespace npn observe on-error on-marked-down on-marked-up pool-conn-name pool-low-conn
  pool-max-conn pool-purge-delay port proto proxy-v2-options redir resolve-net resolve-opts resolve-prefer
  resolvers rise set-proxy-v2-tlv-fmt sigalgs slowstart sni socks4 source ssl-max-ver ssl-min-ver tcp-ut
  track verify verifyhost weight ws
`);

/** Actions of `http-request`; those that end in `*` go on with something in brackets, or with a number. */
export const requestActions = words(`
  add-acl* add-header add-headers-bin allow auth cache-use capture del-acl* del-header del-headers-bin
  del-map* deny disable-l7-retry do-log do-resolve* early-hint normalize-uri ot-group pause redirect reject
  replace-header replace-path replace-pathq replace-uri replace-value return sc-add-gpc* sc-inc-gpc*
  sc-inc-gpc0* sc-inc-gpc1* sc-set-gpt* sc-set-gpt0* send-spoe-group set-bc-mark set-bc-tos set-dst
  set-dst-port set-fc-mark set-fc-tos set-header set-headers-bin set-log-level set-map* set-mark set-method
  set-nice set-path set-pathq set-priority-class set-priority-offset set-query set-retries set-src
  set-src-port set-timeout set-tos set-uri set-var* set-var-fmt* silent-drop strict-mode tarpit track-sc*
  unset-var* use-service wait-for-body wait-for-handshake
`);

/** Actions of `http-response` and `http-after-response`. */
export const responseActions = words(`
  add-acl* add-header allow cache-store capture del-acl* del-header del-map* deny do-log ot-group pause
  redirect replace-header replace-value return sc-add-gpc* sc-inc-gpc* sc-inc-gpc0* sc-inc-gpc1* sc-set-gpt*
  sc-set-gpt0* send-spoe-group set-fc-mark set-fc-tos set-header set-headers-bin set-log-level set-map*
  set-mark set-nice set-status set-tos set-var* set-var-fmt* silent-drop strict-mode track-sc* unset-var*
  wait-for-body
`);

/** What may follow `timeout`. */
export const timeoutNames = words(`
  client server connect check queue http-keep-alive http-request tunnel tarpit client-fin server-fin client-hs
`);

/** What may follow `balance`, before any bracket. */
export const balanceNames = words(`
  roundrobin static-rr leastconn first source uri url_param hdr random rdp-cookie hash sticky log-hash ring
`);

/** Keywords without effect in a section that takes no clients: haproxy -c warns. */
export const frontendOnly = words(`
  bind use_backend default_backend maxconn monitor-uri backlog capture rate-limit log-format
`);

/** Keywords without effect in a section that has no servers: haproxy -c warns. */
export const backendOnly = words(`
  balance cookie retries http-reuse fullconn hash-type use-server http-check dispatch stick source
`);

/** Keywords that haproxy refuses in a section that has no servers. */
export const serverKeywords = words(`server default-server server-template`);

/** Keywords that haproxy refuses in `defaults`. */
export const notInDefaults = words(`bind server server-template use_backend`);

/** Timeouts without effect in a section that takes no clients, and in one that has no servers. */
export const frontendTimeouts = words(`client client-fin`);
export const backendTimeouts = words(`server connect tunnel queue check server-fin`);
