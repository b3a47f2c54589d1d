/**
 * The directives of nginx: where each may stand, how many arguments it takes and of which kind. The table was read off
 * the command tables (ngx_command_t) of nginx 1.22.1 and its stream module; what an
 * argument means is not known here.
 */

/**
 * Where a directive may stand: m outside of blocks, e events, h http, s server, l location, u upstream, i and j `if` in a
 * server and in a location, x limit_except; H stream, S its server, U its upstream. Then the number of arguments, {} for
 * a block, what the arguments must be (`=` for one of these words), and the names.
 */
const TABLE = `
m 0{}: events http stream
m 1: env load_module lock_file pid ssl_engine worker_priority worker_processes working_directory
m 1 =stop|abort: debug_points
m 1 flag: daemon master_process pcre_jit
m 1 number: worker_rlimit_nofile
m 1 size: worker_rlimit_core
m 1 time: timer_resolution worker_shutdown_timeout
m 1+: error_log worker_cpu_affinity
m 1-2: user
m 2-3: thread_pool
e 1: debug_connection use worker_connections
e 1 flag: accept_mutex multi_accept
e 1 number: epoll_events worker_aio_requests
e 1 time: accept_mutex_delay
h 0{}: server
h 1 number: map_hash_bucket_size map_hash_max_size server_names_hash_bucket_size server_names_hash_max_size
  variables_hash_bucket_size variables_hash_max_size
h 1 size: http2_recv_buffer_size
h 1-2{}: geo
h 1{}: upstream
h 2: limit_conn_zone
h 2+: fastcgi_cache_path log_format proxy_cache_path scgi_cache_path uwsgi_cache_path
h 2{}: charset_map map split_clients
h 3: limit_req_zone
hs 1: http2_idle_timeout http2_max_field_size http2_max_header_size http2_max_requests http2_recv_timeout
  ssl_certificate ssl_certificate_key ssl_ciphers ssl_client_certificate ssl_crl ssl_dhparam ssl_ecdh_curve
  ssl_ocsp_cache ssl_ocsp_responder ssl_password_file ssl_session_ticket_key ssl_stapling_file
  ssl_stapling_responder ssl_trusted_certificate
hs 1 =off|on|leaf: ssl_ocsp
hs 1 =off|on|optional|optional_no_ca: ssl_verify_client
hs 1 flag: ignore_invalid_headers merge_slashes ssl ssl_early_data ssl_prefer_server_ciphers
  ssl_reject_handshake ssl_session_tickets ssl_stapling ssl_stapling_verify underscores_in_headers
hs 1 number: http2_max_concurrent_pushes http2_max_concurrent_streams http2_streams_index_size max_headers
  ssl_verify_depth
hs 1 size: client_header_buffer_size connection_pool_size http2_body_preread_size http2_pool_size
  request_pool_size ssl_buffer_size
hs 1 time: client_header_timeout ssl_session_timeout
hs 1+ =SSLv2|SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3: ssl_protocols
hs 1-2: ssl_session_cache
hs 2: large_client_header_buffers ssl_conf_command
hsl 0{}: types
hsl 1: add_after_body add_before_body aio ancient_browser_value auth_request default_type directio fastcgi_cache
  fastcgi_cache_key fastcgi_catch_stderr fastcgi_hide_header fastcgi_index fastcgi_pass_header
  fastcgi_split_path_info fastcgi_store grpc_hide_header grpc_pass_header grpc_ssl_certificate
  grpc_ssl_certificate_key grpc_ssl_ciphers grpc_ssl_crl grpc_ssl_name grpc_ssl_password_file
  grpc_ssl_trusted_certificate http2_push mirror modern_browser_value proxy_cache proxy_cache_key
  proxy_hide_header proxy_method proxy_pass_header proxy_set_body proxy_ssl_certificate
  proxy_ssl_certificate_key proxy_ssl_ciphers proxy_ssl_crl proxy_ssl_name proxy_ssl_password_file
  proxy_ssl_trusted_certificate proxy_store real_ip_header scgi_cache scgi_cache_key scgi_hide_header
  scgi_pass_header scgi_store secure_link secure_link_md5 secure_link_secret set_real_ip_from userid_domain
  userid_expires userid_mark userid_name userid_p3p userid_path uwsgi_cache uwsgi_cache_key uwsgi_hide_header
  uwsgi_pass_header uwsgi_ssl_certificate uwsgi_ssl_certificate_key uwsgi_ssl_ciphers uwsgi_ssl_crl
  uwsgi_ssl_name uwsgi_ssl_password_file uwsgi_ssl_trusted_certificate uwsgi_store uwsgi_string
hsl 1 =1.0|1.1: gzip_http_version
hsl 1 =all|any: satisfy
hsl 1 =html|json|jsonp|xml: autoindex_format
hsl 1 =info|notice|warn|error: limit_conn_log_level limit_req_log_level
hsl 1 =off|exact|before: if_modified_since
hsl 1 =off|log|v1|on: userid
hsl 1 =off|on|always: gzip_static lingering_close
hsl 1 =off|on|build: server_tokens
hsl 1 =off|on|clean: client_body_in_file_only
hsl 1 flag: absolute_redirect aio_write autoindex autoindex_exact_size autoindex_localtime
  chunked_transfer_encoding client_body_in_single_buffer create_full_put_path etag fastcgi_buffering
  fastcgi_cache_background_update fastcgi_cache_lock fastcgi_cache_revalidate fastcgi_force_ranges
  fastcgi_ignore_client_abort fastcgi_intercept_errors fastcgi_keep_conn fastcgi_pass_request_body
  fastcgi_pass_request_headers fastcgi_request_buffering fastcgi_socket_keepalive grpc_intercept_errors
  grpc_socket_keepalive grpc_ssl_server_name grpc_ssl_session_reuse grpc_ssl_verify gunzip gzip_no_buffer
  gzip_vary http2_push_preload limit_conn_dry_run limit_req_dry_run log_not_found log_subrequest
  memcached_socket_keepalive mirror_request_body mp4_start_key_frame msie_padding msie_refresh
  open_file_cache_errors open_file_cache_events port_in_redirect proxy_buffering proxy_cache_background_update
  proxy_cache_convert_head proxy_cache_lock proxy_cache_revalidate proxy_force_ranges proxy_ignore_client_abort
  proxy_intercept_errors proxy_pass_request_body proxy_pass_request_headers proxy_request_buffering
  proxy_socket_keepalive proxy_ssl_server_name proxy_ssl_session_reuse proxy_ssl_verify real_ip_recursive
  recursive_error_pages reset_timedout_connection scgi_buffering scgi_cache_background_update scgi_cache_lock
  scgi_cache_revalidate scgi_force_ranges scgi_ignore_client_abort scgi_intercept_errors scgi_pass_request_body
  scgi_pass_request_headers scgi_request_buffering scgi_socket_keepalive server_name_in_redirect
  ssi_ignore_recycled_buffers ssi_last_modified ssi_silent_errors sub_filter_last_modified sub_filter_once
  tcp_nodelay tcp_nopush uwsgi_buffering uwsgi_cache_background_update uwsgi_cache_lock uwsgi_cache_revalidate
  uwsgi_force_ranges uwsgi_ignore_client_abort uwsgi_intercept_errors uwsgi_pass_request_body
  uwsgi_pass_request_headers uwsgi_request_buffering uwsgi_socket_keepalive uwsgi_ssl_server_name
  uwsgi_ssl_session_reuse uwsgi_ssl_verify
hsl 1 number: fastcgi_cache_min_uses fastcgi_next_upstream_tries grpc_next_upstream_tries grpc_ssl_verify_depth
  gzip_comp_level keepalive_requests limit_conn_status limit_req_status max_ranges memcached_gzip_flag
  memcached_next_upstream_tries min_delete_depth open_file_cache_min_uses proxy_cache_min_uses
  proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_next_upstream_tries proxy_ssl_verify_depth
  scgi_cache_min_uses scgi_next_upstream_tries types_hash_bucket_size types_hash_max_size userid_service
  uwsgi_cache_min_uses uwsgi_modifier1 uwsgi_modifier2 uwsgi_next_upstream_tries uwsgi_ssl_verify_depth
hsl 1 size: client_body_buffer_size client_max_body_size directio_alignment fastcgi_buffer_size
  fastcgi_busy_buffers_size fastcgi_cache_max_range_offset fastcgi_limit_rate fastcgi_max_temp_file_size
  fastcgi_send_lowat fastcgi_temp_file_write_size grpc_buffer_size gzip_hash gzip_min_length gzip_window
  http2_chunk_size memcached_buffer_size mp4_buffer_size mp4_max_buffer_size postpone_gzipping postpone_output
  proxy_buffer_size proxy_busy_buffers_size proxy_cache_max_range_offset proxy_limit_rate
  proxy_max_temp_file_size proxy_send_lowat proxy_temp_file_write_size read_ahead scgi_buffer_size
  scgi_busy_buffers_size scgi_cache_max_range_offset scgi_limit_rate scgi_max_temp_file_size
  scgi_temp_file_write_size send_lowat sendfile_max_chunk slice ssi_min_file_chunk ssi_value_length
  subrequest_output_buffer_size uwsgi_buffer_size uwsgi_busy_buffers_size uwsgi_cache_max_range_offset
  uwsgi_limit_rate uwsgi_max_temp_file_size uwsgi_temp_file_write_size
hsl 1 time: auth_delay client_body_timeout fastcgi_cache_lock_age fastcgi_cache_lock_timeout
  fastcgi_connect_timeout fastcgi_next_upstream_timeout fastcgi_read_timeout fastcgi_send_timeout
  grpc_connect_timeout grpc_next_upstream_timeout grpc_read_timeout grpc_send_timeout keepalive_time
  lingering_time lingering_timeout memcached_connect_timeout memcached_next_upstream_timeout
  memcached_read_timeout memcached_send_timeout open_file_cache_valid proxy_cache_lock_age
  proxy_cache_lock_timeout proxy_connect_timeout proxy_next_upstream_timeout proxy_read_timeout
  proxy_send_timeout resolver_timeout scgi_cache_lock_age scgi_cache_lock_timeout scgi_connect_timeout
  scgi_next_upstream_timeout scgi_read_timeout scgi_send_timeout send_timeout uwsgi_cache_lock_age
  uwsgi_cache_lock_timeout uwsgi_connect_timeout uwsgi_next_upstream_timeout uwsgi_read_timeout
  uwsgi_send_timeout
hsl 1+: addition_types ancient_browser charset_types error_log fastcgi_cache_bypass fastcgi_cache_valid
  fastcgi_no_cache gzip_disable gzip_types index proxy_cache_bypass proxy_cache_valid proxy_no_cache resolver
  scgi_cache_bypass scgi_cache_valid scgi_no_cache ssi_types sub_filter_types uwsgi_cache_bypass
  uwsgi_cache_valid uwsgi_no_cache
hsl 1+ =GET|HEAD|POST: fastcgi_cache_methods proxy_cache_methods scgi_cache_methods uwsgi_cache_methods
hsl 1+ =SSLv2|SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3: grpc_ssl_protocols proxy_ssl_protocols uwsgi_ssl_protocols
hsl 1+
  =X-Accel-Redirect|X-Accel-Expires|X-Accel-Limit-Rate|X-Accel-Buffering|X-Accel-Charset|Expires|Cache-Control|Set-Cookie|Vary:
  fastcgi_ignore_headers grpc_ignore_headers proxy_ignore_headers scgi_ignore_headers uwsgi_ignore_headers
hsl 1+
  =error|timeout|invalid_header|non_idempotent|http_500|http_502|http_503|http_504|http_403|http_404|http_429|off:
  grpc_next_upstream
hsl 1+
  =error|timeout|invalid_header|non_idempotent|http_500|http_502|http_503|http_504|http_403|http_404|http_429|updating|off:
  proxy_cache_use_stale proxy_next_upstream
hsl 1+ =error|timeout|invalid_header|non_idempotent|http_500|http_503|http_403|http_404|http_429|updating|off:
  fastcgi_cache_use_stale fastcgi_next_upstream scgi_cache_use_stale scgi_next_upstream uwsgi_cache_use_stale
  uwsgi_next_upstream
hsl 1+ =error|timeout|invalid_response|not_found|off: memcached_next_upstream
hsl 1+ =off|expired|no-cache|no-store|private|no_last_modified|no_etag|auth|any: gzip_proxied
hsl 1+ =off|put|delete|mkcol|copy|move: dav_methods
hsl 1-2: disable_symlinks fastcgi_bind grpc_bind keepalive_timeout memcached_bind modern_browser open_file_cache
  proxy_bind proxy_cookie_domain proxy_cookie_path proxy_redirect scgi_bind uwsgi_bind
hsl 1-2 =none|msie6|safari: keepalive_disable
hsl 1-3: dav_access fastcgi_store_access limit_req proxy_store_access scgi_store_access uwsgi_store_access
hsl 1-3 =off|secure|httponly|samesite=strict|samesite=lax|samesite=none: userid_flags
hsl 1-4: client_body_temp_path fastcgi_temp_path open_log_file_cache proxy_cookie_flags proxy_temp_path
  scgi_temp_path uwsgi_temp_path
hsl 2: auth_request_set fastcgi_buffers grpc_set_header grpc_ssl_conf_command gunzip_buffers gzip_buffers
  limit_conn output_buffers proxy_buffers proxy_set_header proxy_ssl_conf_command scgi_buffers sub_filter
  uwsgi_buffers uwsgi_ssl_conf_command
hsl 2-3: fastcgi_param scgi_param uwsgi_param
hsl 1 =1.0|1.1|2: proxy_http_version
hslij 1 flag: rewrite_log uninitialized_variable_warn
hslj 1: charset limit_rate limit_rate_after post_action root source_charset
hslj 1 flag: gzip override_charset sendfile ssi
hslj 1-2: expires
hslj 2+: error_page
hslj 2-3: add_header add_trailer
hsljx 1+: access_log
hslx 1: allow auth_basic auth_basic_user_file deny
s 1+: listen server_name
sl 0-1: stub_status
sl 1 number: referer_hash_bucket_size referer_hash_max_size
sl 1+: valid_referers
sl 1+{}: if
sl 1-2{}: location
sl 2+: try_files
slij 0: break
slij 1-2: return
slij 2: set
slij 2-3: rewrite
l 0: empty_gif flv internal mp4
l 1: alias
l 1 flag: random_index
l 1+{}: limit_except
lj 1: fastcgi_pass grpc_pass memcached_pass scgi_pass uwsgi_pass
ljx 1: proxy_pass
u 0: ip_hash least_conn
u 0-2: random
u 1: keepalive
u 1 number: keepalive_requests
u 1 time: keepalive_time keepalive_timeout
u 1+: server
u 1-2: hash zone
H 0{}: server
H 1 number: map_hash_bucket_size map_hash_max_size variables_hash_bucket_size variables_hash_max_size
H 1-2{}: geo
H 1{}: upstream
H 2: limit_conn_zone
H 2+: log_format
H 2{}: map split_clients
HS 1: allow deny proxy_download_rate proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_ciphers
  proxy_ssl_crl proxy_ssl_name proxy_ssl_password_file proxy_ssl_trusted_certificate proxy_upload_rate
  set_real_ip_from ssl_certificate ssl_certificate_key ssl_ciphers ssl_client_certificate ssl_crl ssl_dhparam
  ssl_ecdh_curve ssl_password_file ssl_session_ticket_key ssl_trusted_certificate
HS 1 =info|notice|warn|error: limit_conn_log_level
HS 1 =off|on|optional|optional_no_ca: ssl_verify_client
HS 1 flag: limit_conn_dry_run proxy_half_close proxy_next_upstream proxy_protocol proxy_socket_keepalive
  proxy_ssl proxy_ssl_server_name proxy_ssl_session_reuse proxy_ssl_verify ssl_prefer_server_ciphers ssl_preread
  ssl_session_tickets tcp_nodelay
HS 1 number: proxy_next_upstream_tries proxy_requests proxy_responses proxy_ssl_verify_depth ssl_verify_depth
HS 1 size: preread_buffer_size proxy_buffer_size proxy_downstream_buffer proxy_upstream_buffer
HS 1 time: preread_timeout proxy_connect_timeout proxy_next_upstream_timeout proxy_protocol_timeout
  proxy_timeout resolver_timeout ssl_handshake_timeout ssl_session_timeout
HS 1+: access_log error_log resolver ssl_alpn
HS 1+ =SSLv2|SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3: proxy_ssl_protocols ssl_protocols
HS 1-2: proxy_bind ssl_session_cache
HS 1-4: open_log_file_cache
HS 2: limit_conn proxy_ssl_conf_command ssl_conf_command
S 1: proxy_pass return
S 1+: listen
S 2: set
U 0: least_conn
U 0-2: random
U 1+: server
U 1-2: hash zone
`;

/** Directives that came after 1.22.1, from the documentation. */
const NEWER = `
hs 1 flag: http2 http3 http3_hq quic_gso quic_retry
hs 1: quic_active_connection_id_limit quic_host_key http3_stream_buffer_size
hs 1 number: http3_max_concurrent_streams
hsl 1 flag: proxy_pass_trailers grpc_pass_trailers
hsl 1 time: keepalive_min_timeout
hs 1-3: ssl_certificate_cache
hsl 1-3: proxy_ssl_certificate_cache
hs 1+: ssl_key_log
u 1+: resolver sticky
u 1 time: resolver_timeout
u 1: state
m 0{}: mail
`;

/** What a directive may be in some of the contexts. */
export interface DirectiveForm {
  readonly contexts: string;
  /** How many arguments: whether a number of them will do. */
  takes(count: number): boolean;
  readonly isBlock: boolean;
  /** flag, number, size or time, `=a|b` for words, or "" for anything. */
  readonly kind: string;
}

function parseCounts(text: string): (count: number) => boolean {
  if (text.endsWith("+")) return (count) => count >= Number.parseInt(text, 10);
  const allowed = text.split(",").map((part) => part.split("-").map(Number));
  return (count) => allowed.some(([min = 0, max = min]) => count >= min && count <= max);
}

function parseTable(text: string): Map<string, DirectiveForm[]> {
  const forms = new Map<string, DirectiveForm[]>();
  for (const row of text.replaceAll(/\n {2}/g, " ").split("\n")) {
    const match = /^(\w+) ([\d,+-]+)(\{\})?(?: (\S+))?: (.+)$/.exec(row);
    if (match === null) continue;
    const [, contexts = "", counts = "", braces, kind = "", names = ""] = match;
    const form = { contexts, takes: parseCounts(counts), isBlock: braces !== undefined, kind };
    for (const name of names.split(" ")) forms.set(name, [...forms.get(name) ?? [], form]);
  }
  return forms;
}

/** The forms of every known directive by name. */
export const nginxDirectives: ReadonlyMap<string, readonly DirectiveForm[]> = parseTable(TABLE + NEWER);

/** Names of modules that are not nginx's own; what they allow is not known here. */
const FOREIGN_PREFIXES =
  /^(lua_|more_|nchan_|push_stream_|js_|brotli|zstd|vhost_traffic|modsecurity|perl|geoip|image_filter|xslt|otel|rtmp|check_)/;
const FOREIGN_NAMES =
  /_by_lua|^(auth_jwt|health_check|status_zone|api|keyval|keyval_zone|ntlm|least_time|queue|check)$/;

export function isForeign(name: string): boolean {
  return FOREIGN_PREFIXES.test(name) || FOREIGN_NAMES.test(name);
}

const KINDS: Readonly<Record<string, RegExp>> = {
  flag: /^(on|off)$/i,
  number: /^\d+$/,
  size: /^\d+[kmg]?$/i,
  time: /^(\d+(ms|[yMwdhms])?\s*)+$/,
};

/** What is wrong with the arguments of a directive, in nginx's words where it has some; undefined when nothing is. */
export function argumentProblem(
  name: string,
  args: readonly string[],
  form: DirectiveForm,
): string | undefined {
  if (!form.takes(args.length)) return `invalid number of arguments in "${name}" directive`;
  const { kind } = form;
  const words = kind.startsWith("=") ? kind.slice(1).toLowerCase().split("|") : undefined;
  const fits = (arg: string) =>
    words === undefined ? (KINDS[kind]?.test(arg) ?? true) : words.includes(arg.toLowerCase());
  // A name may stand for several modules' directives; a variable is only known when nginx runs.
  const wrong = args.find((arg) => !fits(arg) && !arg.includes("$"));
  return wrong === undefined ? undefined : `invalid value "${wrong}" in "${name}"`;
}
