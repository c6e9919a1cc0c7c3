"""English background lists: words that carry no subject, and words too common to be one alone."""

# Never part of a phrase. Contractions stand without their apostrophe.
STOPWORDS = frozenset(
    """
    a about above actually after again against ago all almost along already also although always am
    among an and another any anybody anyone anything anyway are arent around as at away back be became
    because become been before behind being below between both but by came can cannot cant come comes
    coming could couldnt did didnt do does doesnt doing done dont down due during each eg either else
    enough especially etc even ever every everyone everything exactly except far few fewer first for
    from further gave get gets getting give given gives giving go goes going gone gonna got gotten had
    hadnt has hasnt have havent having he hed hell hence her here heres hers herself hes hi him himself
    his how however hows i id ie if ill im in indeed inside instead into is isnt it itd itll its itself
    ive just keep keeps kept last later least less let lets like likely little look looks lot lots made
    mainly make makes making many may maybe me mean means merely might mine more moreover most mostly
    much must my myself namely near nearly need needed needs neither never nevertheless new next no
    nobody none nor not nothing now of off often oh ok okay old on once one ones only onto or other
    others otherwise our ours ourselves out over own per perhaps please possible possibly pretty
    probably put quite rather really recent recently said same saw say says see seem seemed seems seen
    several shall she shes should shouldnt simply since so some somebody somehow someone something
    sometimes somewhat somewhere soon still such sure take taken takes taking tell than thank thanks
    that thats the their theirs them themselves then there thereby therefore theres these they theyd
    theyll theyre theyve thing things think this those though three through throughout thus till to
    together too took toward towards tried tries try trying turn two uh um under unless unlike
    until up upon us use used useful user uses using usual usually various very via want wanted wants
    was wasnt way ways we wed well went were werent weve what whatever whats when whenever where whereas
    whether which while who whole whom whose why will with within without wont would wouldnt yeah yep
    yes yet you youd youll your youre yours yourself youve
    able bit else hello hey lol ha haha hmm nah nope ooh ugh wow guy guys man everybody edit update
    currently easily finally fully generally immediately necessarily newly previously properly
    respectively similarly specifically suddenly
    add adds added adding allow allows allowed call called calls cause caused causes change changed
    changes changing consider considered contain contains do expect expected explain fix fixed fixes
    fixing follow following follows found happen happens introduce introduced introduces know known
    learn let lead leads note noted notice noticed passes pass passed provide provided provides remove
    removed removes removing require required requires result results rated return returns run running
    set sets setting show shown shows start started starts stop support supported supports teach work
    worked working works write written wrote ask asked asking feel felt find help helped hope love loved
    despite across multiple approx therere hes shes theyre describe describes described aforementioned bought buy watched foo bar baz qux e.g i.e i.e. vs etc ii iii iv vi vii viii ix part vol mr mrs ms dr
    """.split()
    + """
    alors au aussi aux avec ce ces cet cette chez comme dans de des deux donc dont du elle elles en entre
    est et etre eux fait il ils je la le les leur leurs lors lui mais meme même mes moins mon ne nos notre
    nous on ont ou où par pas peu plus pour que quel qui sa sans se ses si son sont sous sur tous tout
    toute toutes tres très un une vers vos votre vous être été ainsi afin cela puis
    aber alle als am an auch auf aus bei bin bis das dass dem den denn der des die diese dieser doch dort
    durch ein eine einem einen einer es für hat haben habe hier ich ihr ihre im ist kann kein keine man mein
    mit nach nicht noch nur oder ohne schon sehr sein sich sie sind so über um und uns unter vom von vor war
    was wenn wer wie wir wird zu zum zur
    al algo como con cuando del desde donde el ella ellos era es esa ese eso esta este esto está fue ha hay
    las lo los mas más mi muy nos otra otro para pero por porque qué que quien se ser si sin sobre su sus
    también te tiene todo todos un una uno unos ya yo
    ao aos as com da das dele do dos ela ele em essa esse esta eu foi isso mais mas mesmo meu muito na nas
    nem no nos não nós os ou para pela pelo por qual quando que quem se sem seu sua são também tem um uma
    você à é
    che chi ci come con cui da dal dalla degli dei del della delle di è gli ha hanno ho il io la le lo ma mi
    nel nella non per perché più questa questo sono su sua suo te ti tra tutti tutto un una
    aan als bij dan dat deze die dit door een en er ge geen had heb hebben heeft het hij hoe hun ik is je kan
    maar me met mijn naar niet nog nu of om onder ook op over te tot uit van veel voor was wat wel werd wie
    wij wordt worden zal ze zich zijn zo zonder
    """.split()
    + "的 了 是 在 我 有 和 就 不 人 都 一 上 也 很 到 说 要 去 你 会 着 没 看 好 这 那 他 她 它".split()
    + "の に は を た が で て と し れ さ も な い る か ら よ ね う こ そ あ り ま す".split()
)

# Fine inside a phrase ("time zone"), but rarely a subject of their own.
COMMON = frozenset(
    """
    action actual additional address advance advantage advice age aim allowing amount answer approach
    area argument article aspect attempt author avoid bad base based basic basis behave behavior
    behaviour best better big body book bottom bunch bug bugs car care case cases certain chance check
    checked checking choice choose class clean clear cleanup close code comment commit common company
    compare complete condition confused consistent content context control copy correct correctly count
    couple course create created creates cut data date day days deal default define describe described
    description design detail details different difference difficult direct directly discussion double
    early earlier easier easy effect effective empty end entire entry error example examples existing
    experience explicit explicitly extra face fact fail failed fails failure family feature field file
    files fine focus form format former free friend full fun function future game general girl goal good
    great group half hand handle handled handling hard head hear hide high highly home house idea ideas
    identify ignore image implement implementation implemented important improve improved improvement
    include included includes including incorrect increase individual info information initial input
    interest interested interesting internal issue issues item job key kid kind kinds large larger late
    leave left length level life light limit line lines link list live local long longer looking loop
    lose lost low main major manner matter medium mention message method methods minor minute missing
    mode model money month months morning move moved multiple name names natural necessary news nice
    night normal note novel number object obvious open operation option options order original output
    page paper parent part particular parts past pattern people performance period person phrase pick
    place plain plan play point points poor position post posts potential power practice prepare present
    previous price problem problems process produce program project proper propose proposed purpose
    question questions quick quickly quite random range rate read reading ready real reality reason
    reasons refer reference regular related release remain report request research rest right room rule
    safe sake sample save school score search second section send sense sentence separate series serious
    short side sign significant silent similar simple simplify single site situation size slightly small
    solution sort source space special specific specify spot stage stand standard state statement stay
    step story straight strange string strong structure stuff study style subject subsequent system
    systems table talk task tasks term terms test tested testing tests text third thought time times
    tiny title today told top total touch track train trigger trouble true turned turns type types
    typical understand unexpected unit unnecessary unused usage value values variable variant version
    view visit wait walk wasted watch water week weeks weird wish woman word words world worry worse
    wrong year years young
    accept access achieve according allow apart appear apply approach argue arise arrive assume available
    aware begin bring broken build bring callers caller carry cover current decide depend deserve
    develop different discover drop dropped drive eat ensure especially essentially evaluate evaluation
    event exist experiment experimental extend force gain guess helpful hit hold hour implies indicate
    instance involve lack language larger latter load meet meant mind mistake modify obtain occur
    offer otherwise outperform perform plus point prevent prior prove raise reach realize receive reduce
    replace respect respond reveal rely safely scenario share situation skip solve somewhat spend stick
    store suggest summary switch talking tend treat unable verify wonder
    """.split()
)

# Common given names: a profile names nobody, neither the user nor others.
GIVEN_NAMES = frozenset(
    """
    aaron adam adrian alan albert alejandro alex alexander alexandra alexey alfred alice alison amanda
    amy ana anders andrea andreas andrew andrey andy angela anita ann anna anne annie anthony antonio
    arthur barbara ben benjamin bernard bernd bill bob brandon brenda brian bruce bryan carl carla
    carlo carlos carol caroline catherine charles charlie charlotte chris christian christina christine
    christoph christopher claire claudia colin craig cynthia dan daniel daniela danny dave david deborah
    debra denis dennis derek derrick diana diego dimitri dmitry donald donna doug douglas duncan ed eddie
    edward elena eli elijah elisabeth elizabeth ellen emily emma eric erik erin ethan eugene eva evan
    evelyn felix fernando florian frank franz fred frederick gabriel gary george gerald gerrit gina
    giovanni giuseppe glen graham greg gregory guido gustavo hannah hans harold harry heather heidi heiko
    helen helena henrik henry holly howard hugo ian igor ingrid irene isaac isabel isabella ivan jack
    jacob jake james jamie jan jane janet jason javier jay jean jeff jeffrey jennifer jenny jens jeremy
    jerry jesse jessica jessie jim jimmy joachim joan joanna joe joel joey johan johann johannes john
    johnny jon jonas jonathan jorge jose josef joseph josh joshua juan juergen julia julian julie junio
    karen karl karsten kate katherine kathleen kathryn kathy katie keith kelly ken kenneth kevin kim kirk
    klaus kristian kristin kurt kyle lars laura lauren laurie lawrence leo leon leonard leslie liam linda
    linus lisa louis louise lucas lucy luis lukas luke manuel marc marco marcus margaret maria marie mario
    marion marius mark markus marta martha martin mary mathias mathieu matt matthew matthias matthieu
    maurice max maya megan melanie melissa michael michel michele michelle mikael mike mikhail mohamed
    mohammed monica morten muhammad nancy natalia natalie natasha nathan neil nguyen nicholas nick nicola
    nicolas nicole nikolai nils noah nora norman oleg olga oliver olivia oscar otto pablo pamela patricia
    patrick paul paula pavel pedro peter petr phil philip philipp philippe pierre rachel ralf ralph ramon
    randy raphael ray raymond rebecca rene ricardo richard rick rob robert roberto robin roger roland ron
    ronald rosa rose roy russell ruth ryan sally sam samantha samuel sandra sara sarah scott sean sebastian
    sergei sergey sergio seth shannon sharon shawn sheila shirley simon sofia sophia sophie stefan stefano
    stella stephanie stephen steve steven stuart sue susan sven sylvia tanya taylor ted teresa terry theodore
    theresa thomas tim timothy tobias todd tom tommy tony tracy tyler ulrich ursula valerie vanessa veronica
    victor victoria vincent vladimir walter wayne wendy werner william wolfgang yuri yvonne zach zachary
    """.split()
)
