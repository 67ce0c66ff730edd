"""Agents of the league that do what its published ones do only sometimes."""

from negmas import ResponseType, SAOResponse
from scml.std import StdSyncAgent


class Forgetful(StdSyncAgent):
    """Asks one supplier for as much as its lines take, and the others when the engine asks for them."""

    def before_step(self):
        self.asked = 0

    def first_proposals(self):
        self.asked += 1
        first, *others = sorted(self.negotiators)
        partners = [first] if self.asked == 1 else others
        price = self.awi.current_input_issues[2].max_value
        return {partner: (self.awi.n_lines, self.awi.current_step, price) for partner in partners}

    def counter_all(self, offers, states):
        return {partner: SAOResponse(ResponseType.END_NEGOTIATION, None) for partner in offers}
