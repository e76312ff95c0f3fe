// The four built-in styles. Weights are small: a style leans, it does not decide. Positive ones are marks of the style,
// negative ones marks of its opposite.
#include "shoal/potential.hpp"

namespace shoal {

Style conversational_style() {
  return {"conversational",
          {
              {R"(\b(?:hello|hi|hey|welcome|good (?:morning|afternoon|evening))\b)", 0.8, 1},
              {R"(\b(?:sure|of course|certainly|absolutely|no problem|great question|happy to|glad to)\b)", 0.7, 2},
              {R"(\b(?:thanks|thank you|you(?:'|’)re welcome|please)\b)", 0.4, 2},
              {R"(\b(?:how (?:can|may) i (?:help|assist)|let me (?:know|explain|show)|feel free)\b)", 0.8, 2},
              {R"(\bi hope (?:that|this|it) helps\b)", 0.8, 1},
              {R"(\b(?:for example|for instance|in other words|basically|actually|well,|so,|by the way)\b)", 0.4, 3},
              {R"(\b(?:you|your|yours|yourself)\b)", 0.25, 4},
              {R"(\b(?:i|we|my|our|let(?:'|’)s)\b)", 0.15, 4},
              {R"(\b[a-z]+(?:'|’)(?:s|m|re|ll|ve|d|t)\b)", 0.25, 4},
              {R"(\?)", 0.3, 2},
              {R"(!)", 0.3, 2},
              {R"(\b(?:hereby|herein|aforementioned|pursuant|notwithstanding|henceforth|whereas|thereof)\b)", -1.0, 3},
              {R"(\b(?:furthermore|moreover|consequently|therefore)\b)", -0.3, 3},
          }};
}

Style formal_style() {
  return {
      "formal",
      {
          {R"(\b(?:therefore|thus|hence|consequently|accordingly|furthermore|moreover|nevertheless)\b)", 0.6, 4},
          {R"(\b(?:in addition|in particular|with regard to|with respect to|in accordance with|prior to)\b)", 0.6, 3},
          {R"(\b(?:however|whereas|although|in conclusion|in summary|subsequently)\b)", 0.4, 4},
          {R"(\b(?:shall|may|must|should|would)\b)", 0.2, 4},
          {R"(\b(?:demonstrates?|indicates?|constitutes?|requires?|provides?|ensures?|facilitates?)\b)", 0.3, 4},
          {R"(\b(?:sincerely|respectfully|dear (?:sir|madam)|we (?:regret|appreciate)|kindly)\b)", 0.5, 2},
          {R"(\b[a-z]+(?:'|’)(?:m|re|ll|ve|d|t)\b)", -0.6, 4},
          {R"(\b(?:hey|hi|yeah|yep|nope|wow|cool|awesome|gonna|wanna|gotta|kinda|stuff|lol|okay|ok)\b)", -0.8, 4},
          {R"(!)", -0.5, 3},
          {R"(\p{So})", -1.0, 3},
      }};
}

Style technical_style() {
  return {"technical",
          {
              {R"(\b(?:algorithms?|functions?|parameters?|variables?|memory|processors?|threads?|latency|bandwidth)\b)",
               0.4, 6},
              {R"(\b(?:implementations?|interfaces?|protocols?|architectures?|data structures?|complexity|cache)\b)",
               0.4, 4},
              {R"(\b(?:compute[sd]?|computing|parallel|distributed|optimi[sz]ed?|allocate[sd]?|compiled?|executes?)\b)",
               0.3, 4},
              {R"(\b(?:e\.g\.|i\.e\.|such as|defined as|consists of|given by|denoted|specifically)(?:\W|$))", 0.3, 3},
              {R"(\b\d+(?:\.\d+)? ?(?:%|ms|µs|ns|[kmgt]i?b|[kmg]?hz|bits?|bytes?|seconds?)(?:\W|$))", 0.5, 3},
              {R"((?-i)\b[A-Z]{2,6}s?\b)", 0.3, 4},
              {R"(`[^`\n]+`)", 0.5, 4},
              {R"(\b[a-z]+(?:_[a-z0-9]+)+\b|\b\w+\(\))", 0.4, 3},
              {R"(\b(?:amazing|awesome|beautiful|magical|wonderful|incredible)\b)", -0.6, 3},
              {R"(!)", -0.4, 3},
          }};
}

Style creative_style() {
  return {
      "creative",
      {
          {R"(\b(?:like an?|as if|as though)\b)", 0.5, 4},
          {R"(\b(?:whisper|shimmer|glitter|danc|drift|bloom|echo|dream|linger|wander|glow|flicker)(?:s|e|es|ed|ing)?\b)",
           0.5, 5},
          {R"(\b(?:moon|stars?|sky|sea|ocean|wind|shadows?|silence|heart|light|dawn|dusk|river|fire|storm)\b)", 0.3, 6},
          {R"(\b(?:golden|silver|velvet|crimson|ancient|gentle|endless|secret|forgotten|luminous|wild)\b)", 0.4, 4},
          {R"(\b(?:once upon a time|imagine|suddenly|somewhere|perhaps|beneath|beyond)\b)", 0.5, 3},
          {R"(…|\.\.\.|—)", 0.2, 3},
          {R"(["“][^"“”\n]+["”])", 0.3, 3},
          {R"(\b(?:furthermore|moreover|consequently|in conclusion|in summary|respectively|aforementioned)\b)", -0.6,
           3},
          {R"(\b(?:parameters?|implementations?|algorithms?|functionality|utili[sz]e[sd]?)\b)", -0.4, 3},
      }};
}

}  // namespace shoal
