-- Hooks events of hosts that may be activated and deactivated while this module is loaded.

local hosts = prosody.hosts;

-- > function (host), which hooks the events `names` of a host. It hooks them once, and once more each time the host is activated.
local function watcher(names, handler, priority)
	local hooked = setmetatable({}, { __mode = "v" }); -- host → Prosody's table of the host
	return function (host)
		local session = hosts[host];
		if not session or hooked[host] == session then return; end
		hooked[host] = session;
		local context = module:context(host);
		for _, name in ipairs(names) do context:hook(name, handler, priority); end
	end
end

return { watcher = watcher };
