//! For programs that hold channel access tokens: typed calls, renewal, the agent.
