-- Hooks events of hosts that may be activated and deactivated while this module is loaded.

local hosts = prosody.hosts;

-- > function (host), which hooks the events `names` of a host. It hooks them once, and again if the host was activated anew.
local function watcher(names, handler, priority)
	local watched = setmetatable({}, { __mode = "v" }); -- host → Prosody's table of the host
	return function (host)
		local session = hosts[host];
		if not session or watched[host] == session then return; end
		watched[host] = session;
		local context = module:context(host);
		for _, name in ipairs(names) do context:hook(name, handler, priority); end
	end
end

return { watcher = watcher };
