"""Tags of a joined PDF: what is a heading, a table, a figure, and the words of a formula. pypdf
joins pages without. Chromium's groups that mean nothing, nine in ten, give way to what they hold.
"""

from pypdf.generic import ArrayObject, BooleanObject, DictionaryObject, NameObject, NullObject
from pypdf.generic import NumberObject as Number


def named(**entries):
    """A dictionary as PDF has it, strings as names."""
    values = ((k, NameObject(v) if isinstance(v, str) else v) for k, v in entries.items())
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in values})


def tag(writer, printed):
    """`writer` has the pages of the documents `printed`; their trees become one."""
    owners = {}  # link -> its element; page or drawing -> {number of a piece of it: its element}
    root = writer._add_object(named(Type="/StructTreeRoot"))
    book = writer._add_object(named(S="/Document", P=root))

    def copy(element, parent, kind):
        new = named(S=kind, P=parent)
        own = writer._add_object(new)
        for key in {"/Alt", "/A", "/Lang"} & set(element):
            new[NameObject(key)] = element[key].clone(writer)
        for a in [a for a in new.get("/A", []) if "/Headers" in a]:
            new["/A"].remove(a)  # names of a cell's heads, which say themselves that they are
        new[NameObject("/K")] = ArrayObject(kids(element, new, own))
        return own

    def kids(element, new, own):
        """What an element holds: elements, links, numbered pieces of a page or of a drawing."""
        found = element.get("/K", [])
        for kid in found if isinstance(found, list) else [found]:
            kid = kid.get_object()
            where = kid if isinstance(kid, dict) else element
            if where is kid and "/S" in kid:
                group = kid["/S"] == "/NonStruct"
                yield from kids(kid, new, own) if group else [copy(kid, own, kid["/S"])]
                continue
            name = next(name for name in ("/Obj", "/Stm", "/Pg") if name in where)
            place = where.raw_get(name).clone(writer)  # which has it already
            if name == "/Obj":
                owners[place] = own
            else:
                number = Number(kid["/MCID"] if where is kid else kid)
                owners.setdefault(place, {})[number] = own
            if name != "/Pg":
                yield kid.clone(writer)
            else:
                here = new.setdefault(NameObject("/Pg"), place) and new.raw_get("/Pg") == place
                yield number if here else named(Type="/MCR", Pg=place, MCID=number)

    parts = (reader.root_object["/StructTreeRoot"]["/K"] for reader in printed)
    book.get_object().update(named(K=ArrayObject(copy(part, book, "/Part") for part in parts)))
    numbers = ArrayObject()  # the way back, by the key of each place
    for key, (place, own) in enumerate(owners.items()):
        name = "/StructParent"
        if isinstance(own, dict):
            name = "/StructParents"
            pieces = (own.get(n, NullObject()) for n in range(max(own) + 1))
            own = writer._add_object(ArrayObject(pieces))
        place.get_object()[NameObject(name)] = Number(key)
        numbers.extend((Number(key), own))
    tree = writer._add_object(named(Nums=numbers))
    root.get_object().update(named(K=book, ParentTree=tree, ParentTreeNextKey=Number(len(owners))))
    marked = named(Marked=BooleanObject(True))
    writer.root_object.update(named(StructTreeRoot=root, MarkInfo=marked))
