-- Another module with HTTP routes: answers with what Prosody has read of a request.

module:depends("http");

local function show(event)
	local request = event.request;
	return ("%s %s %s %s"):format(request.method, request.path, request.headers.transfer_encoding or "-", tostring(request.body));
end

-- Reads a body of any length, as mod_http_file_share does.
local function receive(event)
	local request = event.request;
	if request.body == false and not request.body_sink then
		local count = 0;
		request.body_sink = { write = function (_, bytes) count = count + #bytes; return true; end };
		request.count = function () return count; end;
		return true;
	end
	return request.count and "received "..request.count() or show(event);
end

module:provides("http", {
	default_path = "/spec";
	streaming_uploads = true;
	route = { ["GET /*"] = show; ["POST /*"] = show; ["PUT /*"] = receive };
});
