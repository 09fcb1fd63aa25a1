-- Which URLs of a host work from this machine, and how to mend each URL that does not.

local endpoints = module.import "endpoints";
local http_settings = module.import "http_settings";
local server = module.import "prosody";

local import = "get one, such as by certbot certonly -d {name} --deploy-hook \"prosodyctl --root cert import /etc/letsencrypt/live\", or import the"
	.." one that you have: prosodyctl --root cert import /etc/letsencrypt/live";
local restart = "Prosody does not run, or it was started before the module or its ports were configured; restart it: systemctl restart prosody";

-- By the way of an endpoint and the step that failed. A word in braces stands for a value of `explain`.
local sentences = {
	https = {
		no_address = "{detail}, so no other machine can reach {url}; make a DNS record for {name}, or write http_host = \"NAME\" in the section of {host},"
			.." with a name that has one";
		no_listener = "{detail}; make a DNS record for {name} that leads to this machine, or open the port in the firewall";
		closed = "{url}: {detail}. "..restart..". If this does not help, Prosody may be unable to read its certificates; import them: prosodyctl"
			.." --root cert import /etc/letsencrypt/live";
		silent = "{detail}; open the port in the firewall. If only this machine gets no answer, as behind a router with NAT, write the line 127.0.0.1"
			.." {name} into /etc/hosts";
		handshake = "{url} ends in a handshake error ({detail}), because Prosody has no certificate for {name}, or cannot read it; "..import;
		untrusted = "Clients reject the certificate of {url} ({detail}). If it is of an authority of your own, let this machine trust the authority"
			.." (package ca-certificates, command update-ca-certificates). Otherwise, "..import;
		wrong_name = "The certificate of {url} is for {detail}; "..import;
		no_answer = "{url} does not answer ({detail}); search Prosody's log";
		foreign = "{url} is answered with {detail}, and not by {service}; if {name} is another machine, write http_host = \"NAME\" in the section"
			.." of {host}, with a name of this machine";
	};
	external = {
		no_address = "http_external_url: {detail}; make a DNS record for {name}, or correct http_external_url";
		no_listener = "http_external_url: {detail}; start the proxy, or correct http_external_url";
		closed = "http_external_url: {detail}; start the proxy, or correct http_external_url";
		silent = "http_external_url: {detail}; start the proxy, or open the port in the firewall. If only this machine gets no answer, as behind a"
			.." router with NAT, write the address of the proxy and {name} into /etc/hosts";
		handshake = "{url} ends in a handshake error ({detail}); give the proxy a certificate for {name}";
		untrusted = "Clients reject the certificate of {url} ({detail}); give the proxy a certificate for {name} that clients trust";
		wrong_name = "The certificate of {url} is for {detail}; give the proxy a certificate for {name}";
		no_answer = "{url} does not answer ({detail}); search the log of the proxy";
		foreign = "{url} is answered with {detail}, and not by {service}; have the proxy pass {path} to Prosody, with the header Host: {http_name}. If it"
			.." sends another name, write http_host = \"NAME\" in the section of {host}, with that name";
		unserved = "{url} is answered with {detail}: the proxy cannot reach Prosody; have it pass {path} to a port of Prosody where plain HTTP is"
			.." served, such as http://127.0.0.1:5280";
		unencrypted = "Prosody takes the requests of the proxy at {url} as not encrypted, so post_msg_require_encryption refuses them; have the proxy"
			.." send X-Forwarded-Proto: https, and add its address to trusted_proxies";
	};
	["local"] = {
		no_address = "{detail}";
		silent = "{detail}; search Prosody's log";
		no_listener = "{url}: {detail}. "..restart;
		closed = "{url}: {detail}. "..restart;
		no_answer = "{url} does not answer ({detail}); search Prosody's log";
		foreign = "{url} is answered with {detail}, and not by this module; search Prosody's log";
		unloaded = "Prosody answers {detail} at {url}, because it has not loaded the module on {host}; restart it: systemctl restart prosody."
			.." If this does not help, its log says why";
	};
};

local reachability = {};

-- What is wrong, and what to do. `app`: as of server.base_path.
local function explain(host, endpoint, fault, app) --> sentence
	local values = {
		host = host; name = endpoint.name; url = endpoint.url; detail = fault.detail; path = server.base_path(host, app);
		http_name = http_settings.name(host); service = app and "mod_http_"..app or "this module";
	};
	local way = endpoint.way;
	if way == "plain" then way = endpoint.host_header and "local" or "external"; end -- Prosody's own address, or http:// of a proxy
	local sentence = sentences[way][fault.step];
	if endpoint.way == "https" and endpoint.name ~= http_settings.name(host) then
		sentence = "HTTP clients send the name {http_name} as {name}; write http_host = \"{name}\" in its section";
	end
	return (sentence:gsub("{([%w_]+)}", values));
end

-- Tries all endpoints of a host. `faults`: [way] → { step, sentence }; of several with the same way, the first. The fault of Prosody's own
-- address is under "local".
function reachability.examine(host) --> list of endpoints that work, faults
	local working, faults = {}, {};
	for _, endpoint in ipairs(endpoints.of_host(host)) do
		local ok, fault = endpoints.try(endpoint);
		if ok and endpoint.way == "external" and server.configured(host, "post_msg_require_encryption") then
			ok, fault = endpoints.is_encrypted(endpoint);
		end
		if ok then
			working[#working + 1] = endpoint;
		else
			local way = endpoint.host_header and "local" or endpoint.way;
			faults[way] = faults[way] or { step = fault.step; sentence = explain(host, endpoint, fault) };
		end
	end
	return working, faults;
end

-- Why other machines cannot reach the host at the URL that is meant for them; nil if they can, as far as this machine can see.
function reachability.fault_for_others(working, faults) --> sentence, kind of finding; or nil
	if faults.external then return faults.external.sentence, "problem"; end
	for _, endpoint in ipairs(working) do
		if endpoint.way == "external" or endpoint.way == "https" then return nil; end
	end
	if faults.https then return faults.https.sentence, "problem"; end
	for _, endpoint in ipairs(working) do
		if endpoint.way == "plain" then return nil; end
	end
	return "Only this machine can reach the module; for other machines, set http_external_url to the URL of a proxy, or write https_ports = { 5281 }"
		.." above the first VirtualHost", "note";
end

-- Why files cannot be sent by an upload service (mod_http_file_share).
function reachability.fault_of_uploads(host) --> sentence, or nil
	local endpoint = endpoints.of_uploads(host);
	local ok, fault = endpoints.try_uploads(endpoint);
	if ok then return nil; end
	local has_other_name = http_settings.name(host) ~= endpoint.name and not server.is_virtual_host(host);
	if endpoint.way == "external" and fault.step == "foreign" and has_other_name then
		local line = ("Component \"%s\" \"http_file_share\" { http_host = \"%s\" }"):format(host, endpoint.name);
		return ("%s is answered with %s, and not by mod_http_file_share; have the proxy pass %s to Prosody, and write at the end of %s: %s"):format(
			endpoint.url, fault.detail, server.base_path(host, "file_share"), prosody.config_file, line);
	end
	return explain(host, endpoint, fault, "file_share");
end

return reachability;
