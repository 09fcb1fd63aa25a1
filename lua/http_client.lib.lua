-- An HTTP client that blocks, for the commands of prosodyctl. It finds addresses as curl does, by getaddrinfo, and it returns the step at
-- which a request failed.

local http = require "socket.http";
local local_addresses = require "util.net".local_addresses;
local ltn12 = require "ltn12";
local socket = require "socket";
local ssl = require "ssl";
local url_parse = require "socket.url".parse;
local x509 = require "util.x509";

local http_settings = module.import "http_settings";
local is_loopback = module.import "loopback";

local connect_timeout = 3; -- seconds
local answer_timeout = 5; -- seconds, by default
local longest_answer = 256 * 1024; -- bytes
local most_addresses = 4; -- of a name, that are tried

local tls_settings = {
	mode = "client"; protocol = "any"; options = { "all"; "no_sslv2"; "no_sslv3" };
	-- The handshake goes on if the certificate is not trusted, so that the fault can be named.
	verify = { "peer" }; verifyext = { "lsec_continue" }; capath = "/etc/ssl/certs";
};

local client = {};

-- The step that failed: "no_address", "silent", "no_listener", "closed" (no listener on this machine), "handshake", "untrusted", "wrong_name"
-- or "no_answer"; and a detail in words.
local function new_fault(step, detail, ...) --> fault
	return { step = step; detail = detail:format(...) };
end

local function is_address(name) --> boolean
	return name:find(":", 1, true) ~= nil or name:find("^[%d.]+$") ~= nil;
end

local function find_addresses(name) --> list of IP addresses
	if is_address(name) then return { name }; end
	local addresses, seen = {}, {};
	for _, entry in ipairs(socket.dns.getaddrinfo(name) or {}) do
		if not seen[entry.addr] and #addresses < most_addresses then addresses[#addresses + 1] = entry.addr; end
		seen[entry.addr] = true;
	end
	return addresses;
end

-- Whether a name leads to this machine.
function client.is_here(name) --> boolean
	local own = {};
	for _, address in ipairs(local_addresses() or {}) do own[address] = true; end
	for _, address in ipairs(find_addresses(name)) do
		if own[address] or is_loopback(address) then return true; end
	end
	return false;
end

local unanswered = {}; -- [address and port] = error: several hosts may lead to an address that does not answer

local function connect(name, port) --> socket; or nil, fault
	local addresses = find_addresses(name);
	if not addresses[1] then return nil, new_fault("no_address", "%s has no address", name); end
	local is_refused, last_error = false, nil;
	for _, address in ipairs(addresses) do
		local target = address.." "..port;
		local conn = address:find(":", 1, true) and socket.tcp6() or socket.tcp4();
		conn:settimeout(connect_timeout);
		local ok, err = not unanswered[target], unanswered[target];
		if ok then ok, err = conn:connect(address, port); end
		if ok then return conn; end
		conn:close();
		if err == "connection refused" then is_refused = true; else unanswered[target] = err; end
		last_error = err;
	end
	local list = table.concat(addresses, ", ");
	if not is_refused then return nil, new_fault("silent", "%s leads to %s, which does not answer on port %d (%s)", name, list, port, last_error); end
	if client.is_here(name) then return nil, new_fault("closed", "nothing listens on port %d of this machine", port); end
	return nil, new_fault("no_listener", "%s leads to %s, where nothing listens on port %d", name, list, port);
end

-- The names in a certificate, for a sentence.
local function names_in(certificate) --> text
	local names = {};
	for name in pairs(x509.get_identities(certificate)) do names[#names + 1] = name; end
	table.sort(names);
	return table.concat(names, ", ");
end

-- "certificate has expired", from the errors of each certificate of the chain.
local function describe_errors(chain) --> text
	for _, errors in ipairs { chain[0] or chain[1] or {}, chain[2] or {} } do
		if errors[1] then return tostring(errors[1]); end
	end
	return "it is not trusted";
end

-- util.x509 does not compare IP addresses.
local function is_for(certificate, name) --> boolean
	if not is_address(name) then return x509.verify_identity(name, false, certificate); end
	local names = certificate:extensions()["2.5.29.17"] or {}; -- subjectAltName (RFC 5280, section 4.2.1.6)
	for _, address in ipairs(names.iPAddress or {}) do
		if address == name then return true; end
	end
	return false;
end

local function encrypt(conn, name) --> socket; or nil, fault
	local tls, err = ssl.wrap(conn, tls_settings);
	if not tls then return nil, new_fault("handshake", "%s", tostring(err)); end
	if not is_address(name) then tls:sni(name); end
	tls:settimeout(answer_timeout);
	local ok;
	ok, err = tls:dohandshake();
	if not ok then return nil, new_fault("handshake", "%s", tostring(err)); end
	local is_trusted, chain = tls:getpeerverification();
	local certificate = tls:getpeercertificate();
	if not is_trusted then
		return nil, new_fault("untrusted", "%s", type(chain) == "table" and describe_errors(chain) or tostring(chain));
	elseif not is_for(certificate, name) then
		return nil, new_fault("wrong_name", "%s", names_in(certificate));
	end
	return tls;
end

-- A socket that is connected already, as socket.http's `create` returns one. After the deadline, each call fails: a server could send one
-- byte at a time. A server that answers before it has read the body may close the connection; the answer is read all the same.
local function connected(conn, deadline) --> object
	local object = { connect = function () return 1; end; settimeout = function () return 1; end };
	return setmetatable(object, { __index = function (_, name)
		return function (_, ...)
			if name ~= "close" then
				local rest = deadline - socket.gettime();
				if rest <= 0 then return nil, "timeout"; end
				conn:settimeout(rest);
			end
			local result, err, part = conn[name](conn, ...);
			if name == "send" and not result and err ~= "timeout" then return #(...); end
			return result, err, part;
		end;
	end });
end

-- Collects pieces, and fails if there are too many.
local function limited_sink(pieces) --> sink of ltn12
	local size = 0;
	return function (piece)
		size = size + #(piece or "");
		if size > longest_answer then return nil, "the answer is too long"; end
		if piece then pieces[#pieces + 1] = piece; end
		return 1;
	end;
end

-- Sends a request: { method, url, headers, body, timeout }. Redirects are not followed.
function client.request(options) --> { status, headers, body }; or nil, fault
	local url = url_parse(options.url);
	local name = url.host:gsub("^%[(.*)%]$", "%1");
	local conn, fault = connect(name, tonumber(url.port) or http_settings.default_ports[url.scheme]);
	if not conn then return nil, fault; end
	if url.scheme == "https" then
		local tls;
		tls, fault = encrypt(conn, name);
		if not tls then
			conn:close();
			return nil, fault;
		end
		conn = tls;
	end
	local deadline = socket.gettime() + (options.timeout or answer_timeout);
	local headers, body = { connection = "close" }, {};
	for header, value in pairs(options.headers or {}) do headers[header:lower()] = value; end
	if options.body then headers["content-length"] = #options.body; end
	local ok, status, answer_headers = http.request {
		url = options.url; method = options.method; headers = headers; redirect = false; sink = limited_sink(body);
		source = options.body and ltn12.source.string(options.body) or nil; create = function () return connected(conn, deadline); end;
	};
	conn:close();
	if not ok then
		local is_late = socket.gettime() >= deadline;
		return nil, new_fault("no_answer", "%s", is_late and "timeout" or tostring(status));
	end
	return { headers = answer_headers; body = table.concat(body); status = status };
end

return client;
