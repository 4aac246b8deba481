"""The roles of a server put together. Only those are loaded that it has: an authority's portal is nothing to a mix."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from anontrace.backend.roles import Context, Role

if TYPE_CHECKING:
    from anontrace.backend.authority.role import AuthorityRole
    from anontrace.backend.discovery.role import DiscoveryRole
    from anontrace.backend.mailbox.role import MailboxRole
    from anontrace.backend.mix.role import MixRole
    from anontrace.backend.nymserver.role import NymserverRole


@dataclass(slots=True)
class Roles:
    """Those of one server. A nymserver and a mailbox server are mixes too."""

    discovery: "DiscoveryRole | None" = None
    authority: "AuthorityRole | None" = None
    nymserver: "NymserverRole | None" = None
    mailbox: "MailboxRole | None" = None
    mix: "MixRole | None" = None

    def by_name(self) -> dict[str, Role]:
        """Those that there are, in the order in which they start."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: role for name, role in found.items() if role is not None}


def assemble(context: Context) -> Roles:
    """The roles that a server is configured for. A mix hands what ends at it to the nymserver or the mailboxes beside
    it. ConfigError if a key file is not as it should be."""
    wanted, roles = context.server.config.roles, Roles()
    if "discovery" in wanted:
        from anontrace.backend.discovery.role import DiscoveryRole

        roles.discovery = DiscoveryRole(context)
    if "authority" in wanted:
        from anontrace.backend.authority.role import AuthorityRole

        roles.authority = AuthorityRole(context)
    if not {"nymserver", "mailbox", "mix"}.intersection(wanted):
        return roles

    from anontrace.backend.mix.delivery import for_nobody
    from anontrace.backend.mix.role import MixRole

    if "nymserver" in wanted:
        from anontrace.backend.nymserver.role import NymserverRole

        roles.nymserver = NymserverRole(context)
        roles.mix = MixRole(context, roles.nymserver.deliver, roles.nymserver.facts)
        roles.nymserver.connect(roles.mix.wake, roles.mix.stuck)
    elif "mailbox" in wanted:
        from anontrace.backend.mailbox.role import MailboxRole

        roles.mailbox = MailboxRole(context)
        roles.mix = MixRole(context, roles.mailbox.mailboxes.deliver, None)
    else:
        roles.mix = MixRole(context, for_nobody(context.counters), None)
    return roles
