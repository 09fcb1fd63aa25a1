return { hosts = (function ()
	local hosts = require "spec.support.world".defaults().hosts;
	hosts["example.com"].lines = "post_msg_batch_limit = 5; post_msg_recipient_limit = 3";
	return hosts;
end)() };
